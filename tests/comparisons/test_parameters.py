"""What trials amount to where hosts are odd but not wrong: refusals, texts that vary, silence, models that repeat nothing."""

from __future__ import annotations

import pytest

from harness.comparisons.parameters import parameter_facts
from harness.targets.endpoint.replies import Reply
from harness.targets.endpoint.told import Told
from harness.targets.endpoint.trials import Tried
from harness.verdicts.parameters import judge_parameters, parameter_findings


def tried(name, *texts, asked=24, **fields):
    """A trial with these texts; None for a reply that was refused."""
    replies = tuple(Reply(lost="refused: no") if text is None else Reply(text=text, **fields) for text in texts)
    return Tried(name=name, asked=asked, replies=replies)


def states(*trials):
    return {row.name: str(row.state) for row in parameter_facts(trials).rows}


GREEDY = tried("greedy", *["One two three four five"] * 4)
VARIED = tried("greedy", "One two", "One two", "One six", "One six")


def test_nothing_tried_says_nothing():
    """Neither accused nor cleared."""
    facts = parameter_facts([])
    assert {str(row.state) for row in facts.rows} == {"unknown"}
    assert judge_parameters(facts).outcome == "NOT_TESTABLE"
    assert parameter_findings(facts) == ()


def test_texts_that_vary_at_temperature_0_are_a_floor_and_no_fault():
    """Batches of a busy host differ; what cannot be told from that is unknown."""
    sampled = tried("sampled", "a b", "c d", "e f", "g h")
    found = states(VARIED, sampled, tried("streamed", "One eight", "One nine"), tried("top_p", "One ten", "One", "Two"))
    assert found["repeats at temperature 0"] == "no"
    assert found["temperature"] == "yes"
    assert found["streams the same text"] == "unknown"
    assert found["top_p"] == "unknown"
    assert parameter_findings(parameter_facts([VARIED, sampled])) == ()


@pytest.mark.parametrize("name", ["top_p", "top_k", "presence", "frequency"])
def test_a_refusal_is_an_honest_no(name):
    """A host that says that it does not know a field ignores nothing."""
    title = f"{name}_penalty" if name in {"presence", "frequency"} else name
    assert states(GREEDY, tried("plain", "x", "x"), tried(name, None, None))[title] == "no"


def test_a_penalty_is_only_missed_where_it_must_show():
    """A word must come often, and a penalty on mere presence may leave it where it is."""
    often, once = "tree " * 20, "One tree is enough"
    for text, state in ((often, "ignored"), (once, "unknown")):
        plain = tried("plain", text, text)
        assert states(plain, tried("frequency", text))["frequency_penalty"] == state
        assert states(plain, tried("presence", text))["presence_penalty"] == "unknown"
        assert states(plain, tried("frequency", "other"))["frequency_penalty"] == "yes"


def test_short_stories_say_nothing_of_a_cap():
    """A reply that stops by itself is none that was cut; nor are replies of other lengths, as another tokenizer bills them."""
    ended = tried("long", "a", "b", asked=512, finish="stop", billed=80)
    assert states(ended)["long replies"] == "unknown"
    mixed = Tried(
        name="long", asked=512,
        replies=(Reply(text="a", finish="length", billed=100), Reply(text="b", finish="length", billed=512)),
    )  # fmt: skip
    for billed, cut in (((430, 441, 436), 0), ((256, 256, 256), 256), ((256, 256), 0)):
        replies = tuple(Reply(text="a", finish="length", billed=one) for one in billed)
        assert parameter_facts([Tried(name="long", asked=512, replies=replies)]).clipped == cut
    facts = parameter_facts([mixed])
    assert (facts.clipped, states(mixed)["long replies"]) == (0, "yes")


def test_log_probabilities_that_are_nearly_the_same_are_not_blindness():
    """Between what rounding does and what a word must do lies nothing that can be called."""

    def rung(tokens, gap):
        told = [Told.of([[(1, -0.5 - shift), (2, -1.5), (3, -3.0)]] * 4) for shift in (0.0, gap)]
        pairs = zip(("copper", "violin"), told, strict=True)
        return [tried(f"context-{tokens}-{word}", "x", told=one, prompt=tokens) for word, one in pairs]

    for gap, state in ((0.0, "ignored"), (5e-3, "unknown"), (0.3, "yes")):
        facts = parameter_facts([*rung(100, 0.3), *rung(900, gap)])
        assert str(facts.rows[-1].state) == state
        assert facts.blind_from == (900 if state == "ignored" else 0)
    one_hot, alone, broken = [(1, 0.0), (2, -9999.0), (3, -9999.0)], [(1, -0.5)], [(1, 1.0), (2, 1.0)]
    for told in (Told.of([one] * 8) for one in (one_hot, alone, broken)):
        says_nothing = [tried(f"context-900-{word}", "x", told=told) for word in ("copper", "violin")]
        assert parameter_facts([*rung(100, 0.3), *says_nothing]).blind_from == 0
    refused = [tried(f"context-900-{word}", None) for word in ("copper", "violin")]
    assert str(parameter_facts([*rung(100, 0.3), *refused]).rows[-1].state) == "no"


def test_replies_that_never_vary_are_told_apart():
    """Always the text of temperature 0, or always the same other one."""
    for text, stuck in (("One two three four five", "greedy"), ("Six seven", "stored")):
        facts = parameter_facts([GREEDY, tried("sampled", *[text] * 4)])
        assert facts.stuck == stuck
        assert judge_parameters(facts).outcome == "INCONCLUSIVE"
        assert [one.code for one in parameter_findings(facts)] == ["INTG513"]
    drawn, sampled = tried("greedy", "One", "Two", "Three", "Four"), tried("sampled", "a", "b", "c", "d")
    assert parameter_facts([drawn, sampled, tried("plain", "Five", "Six")]).stuck == "random"
    ties = parameter_facts([drawn, sampled, tried("plain", "Five six", "Five seven")])
    assert (ties.stuck, str(ties.rows[1].state)) == ("", "unknown")  # ties that are broken anew, or draws: not known
