"""Replies as engines send them: ids of two dialects, refusals of unknown fields, answers that make no sense."""

from __future__ import annotations

import json

import pytest

from harness.prompts.conversation import Conversation
from harness.targets.endpoint.address import parse_address
from harness.targets.endpoint.client import Answer, Client
from harness.targets.endpoint.replies import ask_reply, read_reply
from harness.targets.endpoint.ways import UNTOLD, WAYS, Question, is_neutral, way_of
from harness.targets.sampler import Sampler
from tests.support.hosts import host

ASKED = Conversation(messages=({"role": "user", "content": "a"},))


def answer(choice, usage=None):
    """A chat answer with one choice."""
    return Answer(200, {}, json.dumps({"choices": [choice], "usage": usage or {}}).encode(), 0.1)


def test_ids_of_two_dialects():
    """vLLM's token_ids, and the ids that llama.cpp puts beside log-probabilities."""
    message = {"role": "assistant", "content": "ab"}
    vllm = read_reply(
        answer({"message": message, "token_ids": [5, 6], "finish_reason": "stop"}, {"completion_tokens": 3})
    )
    assert (vllm.ids, vllm.billed, vllm.finish) == ((5, 6), 3, "stop")
    content = [{"id": 5, "token": "a", "logprob": -1}, {"id": 6, "token": "b", "logprob": -1}]
    assert read_reply(answer({"message": message, "logprobs": {"content": content}})).ids == (5, 6)


@pytest.mark.parametrize("ids", [[1, "2"], [-1], [True], [1 << 30], [], "12", [1.0]])
def test_ids_that_make_no_sense_are_no_ids(ids):
    """Never half of them."""
    assert read_reply(answer({"message": {"content": "a"}, "token_ids": ids})).ids is None


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"choices": [3]}', b'{"choices": [{"message": 1}]}', b"no json"])
def test_an_answer_without_a_message_is_lost(body):
    """With the reason."""
    assert read_reply(Answer(200, {}, body, 0.1)).lost


def test_calls_in_place_of_a_text_are_withheld():
    """The product of the tokens of what was called cannot be formed."""
    call = {"id": "1", "type": "function", "function": {"name": "a", "arguments": "{}"}}
    assert read_reply(answer({"message": {"content": "a", "tool_calls": [call]}})).withheld == "tool calls"
    assert not read_reply(answer({"message": {"content": "a"}})).withheld


def drawn(client, way, sampler, question=None):
    """One reply."""
    asked = question or Question(ASKED)
    ((_, reply),) = client.together([lambda: ask_reply(client, asked, 8, way, sampler, 7)])
    return reply


def test_a_host_that_knows_fewer_fields_is_asked_with_fewer():
    """The way that it took is kept; other refusals are not asked again."""

    def answers(asked, _):
        if "min_p" in asked.body:
            return 400, {}, b'{"error": {"message": "unknown field min_p"}}'
        return 200, {}, json.dumps({"choices": [{"message": {"content": "x"}}]}).encode()

    with host(answers) as running, Client(parse_address(running.address)) as client:
        reply = drawn(client, 0, Sampler())
        assert (reply.text, reply.way) == ("x", UNTOLD)
        drawn(client, reply.way, Sampler(cut="top_p", value=0.9))
        assert len(running.asked) == UNTOLD + 2
        assert running.asked[1].body["top_k"] == -1
        assert running.asked[0].body["top_p"] == running.asked[0].body["temperature"] == 1.0
        assert running.asked[0].body["seed"] == running.asked[-1].body["seed"] == 7
        assert running.asked[-1].body["top_p"] == 0.9  # the sampler has the last word
        assert running.asked[-1].body["max_tokens"] == 8


def test_a_refusal_of_every_way_is_a_lost_reply():
    """Not an empty one."""
    with host(lambda *_: (422, {}, b'{"detail": "no"}')) as running, Client(parse_address(running.address)) as client:
        reply = drawn(client, 0, Sampler())
    assert "refused" in reply.lost
    assert len(running.asked) == len(WAYS)


@pytest.mark.parametrize("sampler", [Sampler(), Sampler(cut="top_k", value=20), Sampler(cut="min_p", value=0.05)])
def test_the_way_of_a_request_is_read_from_it_whatever_its_sampler(sampler):
    """So that an audit that is resumed asks on as it began; two ways of writing "no limit" count as one."""
    limits = {"top_k", "min_p"} if sampler.cut else set()
    for question in (Question(ASKED), Question(ASKED, (1, 2), "ab")):
        for way in question.ways:
            found = way_of(question.body(way, 8, sampler, 7))
            assert found // len(WAYS) == way // len(WAYS)
            assert set(WAYS[found % len(WAYS)]) - limits == set(WAYS[way % len(WAYS)]) - limits


def test_a_prompt_goes_out_as_ids_and_as_text_where_ids_are_refused():
    """Completions have words of their own for log-probabilities; the text says what the ids said."""

    def answers(asked, _):
        if isinstance(asked.body["prompt"], list):
            return 422, {}, b'{"detail": "prompt: a string is wanted"}'
        return 200, {}, json.dumps({"choices": [{"text": "x", "finish_reason": "stop"}]}).encode()

    with host(answers) as running, Client(parse_address(running.address)) as client:
        reply = drawn(client, 0, Sampler(), Question(ASKED, (5, 6), "hello"))
        assert (reply.text, reply.way) == ("x", len(WAYS))
        assert is_neutral(reply.way)
        assert {asked.path for asked in running.asked} == {"/v1/completions"}
        first, last = running.asked[0].body, running.asked[-1].body
        assert (first["prompt"], last["prompt"], last["logprobs"]) == ([5, 6], "hello", 20)
        assert not {"messages", "top_logprobs"} & set(last)
