"""Tasks asked of real servers: replies by chat, probabilities where a host scores texts, and what cannot be asked."""

from __future__ import annotations

import pytest

from harness.config import Places
from harness.suites.requests import Continuation, Opening, Rolling, Writing
from harness.targets.checkpoint.target import Workers
from harness.targets.endpoint.address import parse_address
from harness.targets.endpoint.answers import EndpointAnswers
from harness.targets.endpoint.budget import Caps
from harness.targets.endpoint.client import Client
from harness.targets.opening import open_target
from harness.targets.spec import Runtime, parse_spec
from tests.support.dishonest import at_most, dishonest
from tests.support.hosts import host
from tests.support.scoring import scoring
from tests.tasking.test_run import run

TASKS = ("fidelity_reading", "fidelity_arithmetic_easy")


@pytest.mark.slow
def test_an_honest_host_is_asked_the_same_items(smollm, llamacpp, tmp_path):
    """Every reply is scored; a task of log-likelihoods is not testable on a host that scores no texts, and not zero."""
    card, folder, _ = run(smollm, llamacpp, cache=Places.default().cache, results=tmp_path, limit=16,
                          tasks=(*TASKS, "fidelity_choices"), control=False)  # fmt: skip
    reading, sums, choices = card.candidates[0].facts.tasks
    assert (reading.items, reading.lost_candidate, sums.items) == (16, 0, 16)
    assert abs(card.candidates[0].facts.pooled.loss) < 0.3
    assert (choices.items, choices.lost_candidate) == (0, 16)
    assert card.outcome == "INCONCLUSIVE"
    assert "fidelity_choices was not judged" in card.candidates[0].verdict.reason
    assert (folder / "asked-candidate-1.sqlite").exists()


@pytest.mark.slow
def test_a_host_that_cuts_replies_is_called_clipping(smollm, llamacpp, tmp_path):
    """Its replies end for their length long before the limit that was asked for."""
    with dishonest(llamacpp, at_most(4)) as running:
        card, _, _ = run(smollm, running.address, cache=Places.default().cache, results=tmp_path, limit=24, tasks=TASKS[:1],
                         control=False, alpha=0.05)  # fmt: skip
    facts, verdict = card.candidates[0].facts, card.candidates[0].verdict
    assert facts.tasks[0].early_candidate > 12
    assert (verdict.outcome, "TASK603" in {one.code for one in card.candidates[0].findings}) == ("BEYOND", True)


@pytest.mark.slow
def test_a_budget_ends_the_asking_and_what_came_is_judged(smollm, llamacpp, tmp_path):
    """Items that were not asked are lost, and stand against a clearing."""
    card, _, _ = run(smollm, llamacpp, cache=Places.default().cache, results=tmp_path, limit=10, tasks=TASKS[:1],
                     control=False, caps=Caps(requests=8))  # fmt: skip
    task = card.candidates[0].facts.tasks[0]
    assert (task.items, task.lost_candidate) == (8, 2)
    assert card.outcome == "INCONCLUSIVE"


def test_what_a_host_cannot_be_asked_is_lost_with_a_reason(llamacpp):
    """Begun answers, whole texts, and probabilities of a host that tells none."""
    turns = ({"role": "user", "content": "Hi"}, {"role": "assistant", "content": "I am"})
    begun = Writing(key="a", opening=Opening(messages=turns, begun=True), until=(), limit=4)
    whole = Rolling(key="b", text="Once upon a time")
    likely = Continuation(key="c", opening=Opening(text="The sky is"), text=" blue")
    with Client(parse_address(llamacpp)) as client:
        source = EndpointAnswers(client, 4, lambda asked: [([1, 2, 3], [4]) for _ in asked], 0)
        found = source.answer([begun, whole, likely, likely])
        sent = client.sent
        again = source.answer([likely])
        assert client.sent == sent  # a host that scores nothing is asked once
    assert ["begun" in found[0].lost, "perplexity" in found[1].lost] == [True, True]
    assert all("does not score texts" in one.lost for one in (*found[2:], *again))


def test_replies_end_at_the_first_stop_and_say_why(llamacpp):
    """Whether the host took the stop or not; by chat and by a plain text."""
    chat = Opening(messages=({"role": "user", "content": "Tell me about the sea."},))
    never = tuple(f"stop {n}" for n in range(6))
    with Client(parse_address(llamacpp)) as client:
        source = EndpointAnswers(client, 4, lambda asked: [], 0)
        (whole,) = source.answer([Writing(key="a", opening=chat, until=(), limit=12)])
        word = whole.text.split()[2]
        stops = ((word,), (*never, word))
        taken, found = source.answer(
            [Writing(key=str(n), opening=chat, until=one, limit=12) for n, one in enumerate(stops)]
        )
        (plain,) = source.answer([Writing(key="c", opening=Opening(text="One, two, three,"), until=("\n",), limit=6)])
    assert (whole.finish, whole.tokens, whole.lost) == ("length", 12, "")
    assert taken.finish == found.finish == "stop"
    assert taken.text == found.text == whole.text[: whole.text.index(word)]
    assert plain.text
    assert not plain.lost


def test_a_host_that_scores_texts_gives_the_log_likelihoods_of_its_weights(toy, shared_cache):
    """As vLLM does; by the ids that the reference's tokenizer makes of them, in text and in conversation."""
    turns = ({"role": "user", "content": "Hi"}, {"role": "assistant", "content": "I am"})
    openings = (Opening(text="The sea is"), Opening(messages=turns, begun=True))
    asked = [
        Continuation(key=f"{n}-{text}", opening=one, text=text)
        for n, one in enumerate(openings)
        for text in (" blue", " big")
    ]
    with Workers() as workers, host(scoring(toy, "http://127.0.0.1:9")) as running:
        reference = open_target(parse_spec(str(toy), Runtime(dtype="fp32", threads=1)), workers, shared_cache)
        own = reference.answer(asked, 8, shared=True)
        with Client(parse_address(running.address)) as client:
            told = EndpointAnswers(client, 4, reference.pairs, 0).answer(asked)
    assert [one.lost for one in told] == [""] * 4
    assert [one.total for one in told] == pytest.approx([one.total for one in own], abs=1e-3)
    assert [one.greedy for one in told] == [one.greedy for one in own]
