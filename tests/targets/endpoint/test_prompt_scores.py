"""Scores of texts as a real vLLM was recorded to send them, in three ways, and what is no score."""

from __future__ import annotations

import json

import pytest

from harness.targets.endpoint.address import parse_address
from harness.targets.endpoint.client import Answer, Client
from harness.targets.endpoint.prompt_scores import ask_scores, read_scores
from tests.support.hosts import host

IDS = (504, 2, 30)
PLACES = [
    None,
    {"2": {"logprob": -17.5, "rank": 35364}, "29": {"logprob": -0.75, "rank": 1}, "28": {"logprob": -2.5, "rank": 2}},
    {"30": {"logprob": -6.5, "rank": 12}, "198": {"logprob": -0.25, "rank": 1}},
]
WANTED = [[(2, -17.5), (29, -0.75), (28, -2.5)], [(30, -6.5), (198, -0.25)]]


def echoed(tokens, tops):
    """An answer to ``echo``, with the one token that was asked for behind the text."""
    logs = {"tokens": [*tokens, "x"], "token_logprobs": [None, -17.5, -6.5, -1.0], "top_logprobs": [None, *tops, {}]}
    return {"choices": [{"text": "The", "logprobs": logs}]}


def answer(fields):
    return Answer(200, {}, json.dumps(fields).encode(), 0.1)


def test_three_ways_say_the_same():
    """By ids under prompt_logprobs, by ids in place of tokens under echo, and by the tokens themselves."""
    assert read_scores(answer({"choices": [{"text": "", "prompt_logprobs": PLACES}]}), IDS).pairs() == WANTED
    by_ids = [{f"token_id:{name}": value for name, value in place} for place in WANTED]
    told = read_scores(answer(echoed([f"token_id:{one}" for one in IDS], by_ids)), IDS)
    assert [sorted(place) for place in told.pairs()] == [sorted(place) for place in WANTED]
    spelled = read_scores(answer(echoed(["The", "<|im_end|>", "."], [{"-": -0.75, ",": -2.5}, {"\n": -0.25}])), IDS)
    assert [place[0] for place in spelled.pairs()] == [("<|im_end|>", -17.5), (".", -6.5)]


@pytest.mark.parametrize(
    "places",
    [None, [], PLACES[:2], [None, {}, {}], [None, {"29": {"logprob": -1}}, PLACES[2]], [None, 3, 4],
     [None, {"2": 3}, PLACES[2]], [None, {"two": {"logprob": -1}}, PLACES[2]], [None, {"9" * 40: {"logprob": -1}}, PLACES[2]]],
)  # fmt: skip
def test_what_does_not_speak_of_every_token_is_nothing(places):
    """Missing places, missing tokens, and what is no answer."""
    told = read_scores(answer({"choices": [{"text": "", "prompt_logprobs": places}]}), IDS)
    assert told is None or told.unsound().any()


@pytest.mark.parametrize(
    "fields",
    [
        {"choices": [{"text": "", "prompt_logprobs": PLACES}], "usage": {"prompt_tokens": 4}},
        {"choices": [{"text": "", "prompt_logprobs": [PLACES[1], *PLACES[1:]]}]},
        {"choices": [{"text": "", "logprobs": {"tokens": ["<s>", "The", "."], "token_logprobs": [-1.0, -2.0, -3.0]}}]},
    ],
)
def test_another_prompt_is_no_score_of_this_one(fields):
    """Something was put in front: it is billed, or what stands first has a score itself."""
    assert read_scores(answer(fields), IDS) is None


def test_a_host_is_asked_in_the_next_way_where_one_says_nothing():
    """Fields that are not known are ignored as often as they are refused."""

    def answers(asked, _):
        if "prompt_logprobs" in asked.body:
            return 200, {}, json.dumps({"choices": [{"text": "x"}]}).encode()
        return 200, {}, json.dumps(echoed([f"token_id:{one}" for one in IDS], [{}, {"token_id:198": -0.25}])).encode()

    with host(answers) as running, Client(parse_address(running.address)) as client:
        ((_, scores),) = client.together([lambda: ask_scores(client, IDS, 0, "text-0000")])
    assert scores.told is not None
    assert scores.way == 1
    assert [asked.body["prompt"] for asked in running.asked] == [list(IDS)] * 2
