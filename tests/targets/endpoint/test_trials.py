"""Trials of real servers: an honest one passes all of them, and each vice is found by the trial that is meant for it."""

from __future__ import annotations

import pytest

from harness.comparisons.parameters import parameter_facts
from harness.prompts.trials import draw_trials
from harness.targets.endpoint.address import parse_address
from harness.targets.endpoint.client import Client
from harness.targets.endpoint.trials import try_all
from harness.verdicts.parameters import judge_parameters, parameter_findings
from tests.support.dishonest import always, at_most, broken_stream, cut_front, dishonest, drawing, lie, without

QUICK = draw_trials(4096, thorough=False)
SLOW = pytest.mark.slow


def tried(address, *names):
    """Facts from some of the trials, or all of the quick ones."""
    trials = [one for one in QUICK if not names or one.name.split("-")[0] in names]
    with Client(parse_address(address)) as client:
        return parameter_facts(try_all(client, trials))


def states(facts):
    return {row.name: str(row.state) for row in facts.rows}


@pytest.mark.slow
def test_an_honest_server_does_as_it_is_told(llamacpp):
    """Every quick trial shows its effect on llama.cpp; nothing is found."""
    facts = tried(llamacpp)
    assert set(states(facts).values()) == {"yes"}, facts.rows
    assert parameter_findings(facts) == ()
    verdict = judge_parameters(facts)
    assert (verdict.outcome, verdict.cause) == ("WITHIN", None)
    assert facts.requests <= 28


@pytest.mark.parametrize(
    ("vice", "trials", "row", "state", "code"),
    [
        ({"asked": always(temperature=0)}, ("greedy", "sampled"), "temperature", "ignored", "INTG513"),
        pytest.param(
            {"asked": drawing(1.0)},
            ("greedy", "sampled", "plain"),
            "temperature",
            "ignored",
            "INTG513",
            marks=SLOW,
        ),
        pytest.param({"stores": True}, ("greedy", "sampled"), "temperature", "ignored", "INTG513", marks=SLOW),
        pytest.param({"asked": without("top_p")}, ("greedy", "top_p"), "top_p", "ignored", "", marks=SLOW),
        pytest.param({"asked": without("top_k")}, ("greedy", "top_k"), "top_k", "ignored", "", marks=SLOW),
        ({"whole": broken_stream}, ("greedy", "streamed"), "streams the same text", "no", "INTG516"),
        ({"answered": lie(finish_reason="stop")}, ("short",), "finish_reason", "ignored", "INTG517"),
    ],
)
def test_each_vice_is_found_by_its_trial(llamacpp, vice, trials, row, state, code):
    """And by its finding where it is one; a parameter that is merely not known is told in the table."""
    with dishonest(llamacpp, **vice) as running:
        facts = tried(running.address, *trials)
    assert states(facts)[row] == state, facts.rows
    assert [one.code for one in parameter_findings(facts)] == ([code] if code else [])


@pytest.mark.slow
def test_a_cap_on_replies_is_called_clipping(llamacpp):
    """The reply says that it ran out of length, long before the length that was asked for."""
    long = [one for one in draw_trials(4096, thorough=True) if one.name == "long"]

    def capped(body):
        return at_most(40)(body | {"temperature": 0})  # drawn ones may end before the cap

    with dishonest(llamacpp, capped) as running, Client(parse_address(running.address)) as client:
        facts = parameter_facts(try_all(client, long))
    assert facts.clipped == 40
    assert judge_parameters(facts).cause == "clipping"
    assert [one.code for one in parameter_findings(facts)] == ["INTG514"]


@pytest.mark.slow
def test_a_prompt_that_is_cut_at_its_front_is_told_by_what_the_host_does_not_see(llamacpp):
    """The log-probabilities of two prompts are the same; without a shorter prompt that is seen nothing is concluded."""
    rungs = [one for one in draw_trials(4096, thorough=True) if one.name.startswith("context-200")]
    with dishonest(llamacpp, cut_front(300)) as running, Client(parse_address(running.address)) as client:
        found = try_all(client, rungs)
    alone = parameter_facts(found)
    assert alone.blind_from == 0
    assert set(states(alone).values()) >= {"ignored"}
    with Client(parse_address(llamacpp)) as client:
        seen = [one.model_copy(update={"name": one.name.replace("200", "100")}) for one in try_all(client, rungs)]
    facts = parameter_facts([*seen, *found])
    assert (facts.sees_to, facts.blind_from) == (100, 200)
    assert judge_parameters(facts).outcome == "INCONCLUSIVE"
    assert [one.code for one in parameter_findings(facts)] == ["INTG515"]
