"""Logs of traffic are read strictly: what a line does not say for certain is refused with its number."""

from __future__ import annotations

import json

import pytest

from harness.auditing.logged import read_logged
from harness.errors import TargetNotFound, UsageError
from harness.targets.endpoint.ways import is_neutral
from harness.targets.sampler import Sampler

ASKED = [{"role": "user", "content": "Hi"}]
WIRED = {
    "request": {"messages": ASKED, "max_tokens": 8, "temperature": 1},
    "response": {
        "choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11},
    },
}
PLAIN = {"messages": ASKED, "text": "Hello there", "ids": [1, 2], "finish_reason": "length", "completion_tokens": 2}


def log(tmp_path, *lines):
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines) + "\n\n")
    return path


def other(number: int, **changes) -> dict:
    return PLAIN | {"messages": [{"role": "user", "content": f"Question {number}"}]} | changes


def test_what_is_neutral_passes_and_only_what_is_said_counts_as_said(tmp_path):
    """A host that was not told to be neutral may add penalties of its own; one seed for all is shared chance."""
    neutral = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0, "stop": None, "n": 1, "seed": 3}
    found, _ = read_logged(
        log(tmp_path, other(1, **neutral), other(2, seed=4, chat_template_kwargs={"a": 1})), Sampler()
    )
    assert [is_neutral(reply.way) for _, reply in found] == [True, False]
    assert found[1][0].options == {"a": 1}
    with pytest.raises(UsageError, match="seed, came before"):
        read_logged(log(tmp_path, other(1, seed=7), other(2, seed=7)), Sampler())
    stopped, _ = read_logged(log(tmp_path, other(1, finish_reason="stop")), Sampler())
    assert stopped[0][1].asked > 2


def test_both_forms_are_read_in_the_order_of_the_file(tmp_path):
    """Bodies as they went over the wire, and a short form; a missing limit is what a cut reply came to."""
    found, digest = read_logged(log(tmp_path, WIRED, other(1)), Sampler())
    (asked, wired), (_, plain) = found
    assert asked.messages == tuple(ASKED)
    assert (wired.text, wired.prompt, wired.billed, wired.asked, wired.ids) == ("Hello", 9, 2, 8, None)
    assert (plain.ids, plain.asked, plain.finish) == ((1, 2), 2, "length")
    assert len(digest) == 64


def test_log_probabilities_in_a_log_are_read_as_those_of_a_host(tmp_path):
    """In both forms; the field of a request is a wish and no answer."""
    content = [{"id": 5, "token": "Hi", "logprob": -0.5, "top_logprobs": [{"id": 5, "token": "Hi", "logprob": -0.5}]}]
    wired = json.loads(json.dumps(WIRED))
    wired["request"]["logprobs"] = True
    wired["response"]["choices"][0]["logprobs"] = {"content": content}
    found, _ = read_logged(log(tmp_path, wired, other(1, logprobs={"content": content}), other(2)), Sampler())
    told = [reply.told for _, reply in found]
    assert told[0] == told[1]
    assert told[0].pairs() == [[(5, -0.5)]]
    assert told[2] is None


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{nonsense", "line 2"),
        ("[1]", "not an object"),
        ({"messages": ASKED}, "no text"),
        ({"text": "x"}, "no messages"),
        ({"messages": [], "text": "x"}, "no messages"),
        ({"request": {"messages": ASKED}}, "without a response"),
        (PLAIN | {"temperature": 0.2}, "temperature 0.2"),
        (PLAIN | {"top_p": 0.9}, "top_p 0.9"),
        (PLAIN | {"completion_tokens": "many"}, "line 2"),
        (PLAIN | {"ids": ["a"]}, "line 2"),
        ("[" * 100_000, "line 2"),
        (WIRED, "came before"),
        (PLAIN | {"top_k": 20}, "top_k steers"),
        (PLAIN | {"frequency_penalty": 1.5}, "frequency_penalty steers"),
        (PLAIN | {"stop": ["x"]}, "stop steers"),
        (PLAIN | {"response_format": {"type": "json_object"}}, "response_format steers"),
        (PLAIN | {"guided_regex": "a*"}, "guided_regex steers"),
    ],
)
def test_a_line_that_cannot_be_held_to_is_refused_with_its_number(tmp_path, line, problem):
    """No line is left out silently: a selection is no evidence."""
    with pytest.raises(UsageError, match=problem):
        read_logged(log(tmp_path, WIRED, line), Sampler())


def test_a_log_of_a_forced_sampler_is_read_under_that_sampler(tmp_path):
    """Every request must have asked for it."""
    asked = WIRED | {"request": WIRED["request"] | {"top_p": 0.9}}
    assert len(read_logged(log(tmp_path, asked), Sampler(cut="top_p", value=0.9))[0]) == 1
    with pytest.raises(UsageError, match="--sampler"):
        read_logged(log(tmp_path, WIRED), Sampler(cut="top_p", value=0.9))


def test_no_file_and_an_empty_one_are_errors(tmp_path):
    """Nothing is judged of nothing."""
    with pytest.raises(TargetNotFound):
        read_logged(tmp_path / "none", Sampler())
    with pytest.raises(UsageError, match="0 replies"):
        read_logged(log(tmp_path, ""), Sampler())
