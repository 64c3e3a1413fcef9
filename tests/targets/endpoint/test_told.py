"""Log-probabilities as engines send them: ids of two dialects, bytes, and values that are none."""

from __future__ import annotations

import json

import pytest

from harness.targets.endpoint.replies import Reply, reply_of
from harness.targets.endpoint.told import BROKEN, Told, read_told


def choice(*entries):
    """A choice whose tokens come with these entries."""
    return {"message": {"content": "ab"}, "logprobs": {"content": list(entries)}}


def pairs(entry):
    """What is read of one token."""
    return read_told(choice(entry)).pairs()


def test_llamacpp_tells_ids():
    """The token first, then what is listed, the token itself once."""
    entry = {
        "id": 5, "token": "a", "bytes": [97], "logprob": -1.0,
        "top_logprobs": [{"id": 7, "token": "b", "logprob": -0.9}, {"id": 5, "token": "a", "logprob": -1.0}],
    }  # fmt: skip
    assert pairs(entry) == [[(5, -1.0), (7, -0.9)]]


def test_vllm_writes_ids_in_place_of_tokens():
    """Also in the lists, whose bytes are those of that word and not of the token; its minus infinity is -9999."""
    entry = {
        "token": "token_id:504", "bytes": [84], "logprob": -1.0,
        "top_logprobs": [{"token": "token_id:9", "bytes": [116, 111], "logprob": -9999.0}],
    }  # fmt: skip
    assert pairs(entry) == [[(504, -1.0), (9, -9999.0)]]
    assert reply_of({"choices": [choice(entry)]}).ids == (504,)


def test_a_host_without_ids_tells_bytes():
    """Half a character has bytes and no text; without bytes the token's own text counts."""
    half = {"token": "\\xe2", "bytes": [0xE2], "logprob": -3.0, "top_logprobs": [{"token": "é", "logprob": -2.0}]}
    assert pairs(half) == [[("\xe2", -3.0), ("\xc3\xa9", -2.0)]]
    listed = read_told(choice(half)).listed(lambda name: 7 if name == "\xe2" else -1)
    assert listed.ids.tolist() == [[7, -1]]


@pytest.mark.parametrize("value", [float("nan"), None, "x", True, float("inf"), 3.0])
def test_what_is_no_logarithm_of_a_probability_is_kept_as_such(value):
    """It must be told, and must survive being stored as JSON."""
    told = read_told(choice({"id": 1, "logprob": value, "top_logprobs": [{"id": 2, "logprob": -1.0}]}))
    assert told.pairs() == [[(1, BROKEN), (2, -1.0)]]
    assert told.unsound().tolist() == [True]
    reply = Reply(told=told)
    assert Reply.model_validate_json(reply.model_dump_json()) == reply


@pytest.mark.parametrize(
    "content",
    [[], [3], [{}], [{"id": 1, "logprob": 0.0}], [{"id": 1, "logprob": -1.0, "top_logprobs": [4]}], "x", None],
)
def test_what_cannot_be_read_is_nothing(content):
    """A placeholder of zeros, too: some gateways fill the field in."""
    assert read_told({"logprobs": {"content": content}}) is None
    assert read_told({"logprobs": content}) is None


def test_probabilities_that_sum_to_more_than_one_are_unsound():
    """Rounding is allowed for."""
    told = Told.of([[(1, -0.1), (2, -0.2)], [(1, -0.6931), (2, -0.6931)], [(3, -0.1)]])
    assert told.unsound().tolist() == [True, False, False]
    assert json.loads(json.dumps(BROKEN)) > 0


@pytest.mark.parametrize(
    "entry",
    [
        {"id": 1, "logprob": -(10**400), "top_logprobs": [{"id": 2, "logprob": -1.0}]},
        {"id": [1, 2], "logprob": -1.0, "top_logprobs": [{"id": [3, 4], "logprob": -1.0}]},
        {"id": [1], "logprob": [-1.0], "top_logprobs": [{"id": [3], "logprob": [-1.0]}]},
        {"id": 1, "logprob": -1.0, "top_logprobs": [{"id": 2, "logprob": 10**400}]},
        {"id": 1 << 60, "logprob": -1.0, "top_logprobs": []},
    ],
)
def test_numbers_that_no_machine_holds_break_nothing(entry):
    """A host must not be able to end an audit by an answer."""
    told = read_told({"logprobs": {"content": [entry, entry]}})
    assert told is None or told.ids.ndim == told.logs.ndim == 2


def test_a_list_that_names_the_sent_token_otherwise_is_not_believed():
    """Its own value belongs into the list, and is there under another name: the names are not those of the tokens."""
    entry = {
        "token": "the", "bytes": [116, 104, 101], "logprob": -0.2,
        "top_logprobs": [{"token": " the", "logprob": -0.2}, {"token": "a", "logprob": -2.0}],
    }  # fmt: skip
    assert read_told(choice(entry)) is None
    ids = {"id": 1, "logprob": -0.2, "top_logprobs": [{"id": 2, "logprob": -0.2}, {"id": 3, "logprob": -2.0}]}
    assert read_told(choice(ids)) is None
