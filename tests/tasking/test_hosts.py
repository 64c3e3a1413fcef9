"""Tasks asked of real servers: replies by chat, probabilities where a host scores texts, and what cannot be asked."""

from __future__ import annotations

import json

import pytest

from harness.config import Places
from harness.errors import UsageError
from harness.observations.events import TargetStarted
from harness.suites.requests import Continuation, Opening, Rolling, Writing
from harness.targets.checkpoint.target import Workers
from harness.targets.endpoint.address import parse_address
from harness.targets.endpoint.answers import UNREACHED, EndpointAnswers
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
    assert (card.outcome, card.partial) == ("INCONCLUSIVE", True)
    again, _, events = run(smollm, llamacpp, cache=Places.default().cache, results=tmp_path, limit=10, tasks=TASKS[:1],
                           control=False, caps=Caps(requests=10))  # fmt: skip
    assert [event.tokens for event in events if isinstance(event, TargetStarted)] == [2]  # what was paid for is kept
    assert (again.candidates[0].facts.tasks[0].items, again.partial) == (10, False)
    assert len(list(tmp_path.iterdir())) == 1


def test_what_a_host_cannot_be_asked_is_lost_with_a_reason(llamacpp):
    """Begun answers, whole texts, and probabilities of a host that tells none."""
    turns = ({"role": "user", "content": "Hi"}, {"role": "assistant", "content": "I am"})
    begun = Writing(key="a", opening=Opening(messages=turns, begun=True), until=(), limit=4)
    whole = Rolling(key="b", text="Once upon a time")
    likely = Continuation(key="c", opening=Opening(text="The sky is"), text=" blue")
    with Client(parse_address(llamacpp)) as client:
        source = EndpointAnswers(client, 4, lambda asked: [([1, 2, 3], [4]) for _ in asked], 0)
        found = source.answer([begun, whole, likely, likely, likely])
        sent = client.sent
        again = source.answer([likely])
        assert client.sent == sent  # a host that scored none of several is not asked for more
    assert ["begun" in found[0].lost, "perplexity" in found[1].lost] == [True, True]
    assert all(one.lost for one in found)
    assert "scores no texts" in again[0].lost


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


HELLO = Opening(messages=({"role": "user", "content": "Hi"},))


def asked(answer, *, count=1, **changes):
    """What comes of requests to a host that answers so, and what it was asked."""
    requests = [
        Writing(**({"key": f"k{n}", "opening": HELLO, "until": (), "limit": 5} | changes)) for n in range(count)
    ]
    with host(answer) as running, Client(parse_address(running.address)) as client:
        source = EndpointAnswers(client, 4, lambda _: [], 7)
        return source.answer(requests), [one.body for one in running.asked], source


def saying(message, finish="stop"):
    body = {"choices": [{"index": 0, "finish_reason": finish, "message": {"role": "assistant"} | message}]}
    return 200, {}, json.dumps(body).encode()


@pytest.mark.parametrize(
    ("message", "finish", "reason"),
    [
        ({"content": None, "reasoning_content": "hm"}, "stop", "keeps a part"),
        ({"content": "a", "reasoning": "hm"}, "stop", "keeps a part"),
        ({"content": "x"}, "content_filter", "content_filter"),
        ({"content": "x"}, "error", "error"),
    ],
)
def test_what_is_not_the_whole_text_is_no_answer(message, finish, reason):
    """An honest host that parts reasoning from the text is not held against a reference that does not."""
    ((found,), _, _) = asked(lambda *_: saying(message, finish))
    assert reason in found.lost
    assert found.text == ""


def test_a_host_is_told_to_add_no_penalty_and_what_it_does_not_take_is_noted():
    """Releases bring penalties along, and hosts apply them at temperature 0."""
    found, bodies, source = asked(lambda *_: saying({"content": "yes"}), count=3)
    assert [one.text for one in found] == ["yes"] * 3
    assert all(body["repetition_penalty"] == 1.0 and body["presence_penalty"] == 0.0 for body in bodies)
    assert source.notes == ()

    def picky(request, _):
        return (
            saying({"content": "yes"})
            if "presence_penalty" not in request.body
            else (400, {}, b'{"error": {"message": "unknown"}}')
        )

    found, bodies, source = asked(picky, count=3)
    assert [one.text for one in found] == ["yes"] * 3
    assert len(bodies) == 6  # the first request alone finds out
    assert "counts as its own" in source.notes[0]


def test_every_request_has_a_seed_of_its_own():
    """A host that honours seeds would otherwise give repeats the same draw."""
    _, bodies, _ = asked(lambda *_: saying({"content": "yes"}), count=3, temperature=0.7)
    assert len({body["seed"] for body in bodies}) == 3


@pytest.mark.parametrize("status", [429, 503])
def test_what_was_not_reached_is_not_an_answer_that_stays(status):
    """It is asked again by the same command."""
    ((found,), _, _) = asked(lambda *_: (status, {"retry-after": "0"}, b"{}"))
    assert found.lost.startswith(UNREACHED)


def test_a_key_that_is_refused_ends_the_asking_of_that_host():
    """And nothing else."""
    found, bodies, source = asked(lambda *_: (401, {}, b'{"error": {"message": "no"}}'), count=5)
    assert all(one.lost.startswith(UNREACHED) for one in found)
    assert "key" in source.ended
    assert len(bodies) == 1


def test_one_key_is_not_sent_to_two_hosts(toy, shared_cache, tmp_path):
    """Each has a command of its own."""
    with pytest.raises(UsageError, match="several hosts"):
        run(toy, "https://a.example/v1", "https://b.example/v1", cache=shared_cache, results=tmp_path, key="KEY")


@pytest.mark.parametrize(
    ("place", "reason"),
    [([(5, -9.0)], "lists no other tokens"), ([(5, 1.0), (6, -1.0)], "no log-probability"),
     ([(5, -9999.0), (6, -1.0)], "no log-probability"), ([(5, -0.1), (6, -0.2)], "no log-probability")],
)  # fmt: skip
def test_log_probabilities_are_not_believed_unseen(place, reason):
    """More than everything, placeholders, and lists that say nothing of other tokens."""
    shape = [None, {str(token): {"logprob": log} for token, log in place}]
    body = {"choices": [{"text": "", "prompt_logprobs": shape}], "usage": {"prompt_tokens": 2}}
    with (
        host(lambda *_: (200, {}, json.dumps(body).encode())) as running,
        Client(parse_address(running.address)) as client,
    ):
        source = EndpointAnswers(client, 4, lambda _: [([1], [5])], 0)
        (found,) = source.answer([Continuation(key="c", opening=Opening(text="x"), text="y")])
    assert reason in found.lost
