"""Answers of three protocols say the same, in one piece and streamed, as vLLM and llama.cpp were recorded to send them."""

from __future__ import annotations

import json

import pytest

from harness.targets.endpoint.client import Answer
from harness.targets.endpoint.replies import read_reply
from harness.targets.endpoint.shapes import chat_shaped

PROBABILITIES = [
    {"id": 198, "token": "\n", "bytes": [10], "logprob": -0.25, "top_logprobs": [
        {"id": 198, "token": "\n", "bytes": [10], "logprob": -0.25},
        {"id": 520, "token": "ass", "bytes": [97, 115, 115], "logprob": -4.25}]},
    {"id": 520, "token": "ass", "bytes": [97, 115, 115], "logprob": -0.5, "top_logprobs": [
        {"id": 520, "token": "ass", "bytes": [97, 115, 115], "logprob": -0.5},
        {"id": 4093, "token": "user", "bytes": [117, 115, 101, 114], "logprob": -2.0}]},
]  # fmt: skip
LLAMACPP = {
    "index": 0, "content": "\nass", "tokens": [198, 520], "stop": True, "model": "m.gguf", "tokens_predicted": 2,
    "tokens_evaluated": 6, "stop_type": "limit", "completion_probabilities": PROBABILITIES,
}  # fmt: skip
VLLM = {
    "object": "text_completion", "model": "smol",
    "choices": [{"index": 0, "text": "\nass", "finish_reason": "length", "token_ids": [198, 520], "logprobs": {
        "text_offset": [0, 1], "token_logprobs": [-0.25, -0.5], "tokens": ["token_id:198", "token_id:520"],
        "top_logprobs": [{"token_id:198": -0.25, "token_id:520": -4.25}, {"token_id:520": -0.5, "token_id:4093": -2.0}]}}],
    "usage": {"prompt_tokens": 6, "completion_tokens": 2, "total_tokens": 8},
}  # fmt: skip


def events(*values, end=b"data: [DONE]\n\n"):
    """A stream."""
    return b"".join(b"data: " + json.dumps(value).encode() + b"\n\n" for value in values) + end


def streamed_llamacpp():
    """A token per event, the end in one of its own, and no [DONE]."""
    parts = [
        {
            "content": text,
            "tokens": [one["id"]],
            "stop": False,
            "completion_probabilities": [one],
            "tokens_predicted": n,
        }
        for n, (text, one) in enumerate(zip(("\n", "ass"), PROBABILITIES, strict=True), 1)
    ]
    last = {"content": "", "tokens": [], "stop": True, "stop_type": "limit", "model": "m.gguf"}
    return events(*parts, last | {"tokens_predicted": 2, "tokens_evaluated": 6}, end=b"")


def streamed_chat():
    """Chat chunks of llama.cpp, with the bill in an event without choices."""
    parts = [
        {"choices": [{"delta": {"content": text}, "finish_reason": None, "logprobs": {"content": [one]}}], "model": "m"}
        for text, one in zip(("\n", "ass"), PROBABILITIES, strict=True)
    ]
    ended = {"choices": [{"delta": {}, "finish_reason": "length"}]}
    usage = {"choices": [], "usage": VLLM["usage"]}
    return events({"choices": [{"delta": {"role": "assistant", "content": None}}]}, *parts, ended, usage)


def streamed_vllm():
    """Chunks of a legacy completion."""
    choice = VLLM["choices"][0]
    parts = []
    for n, text in enumerate(("\n", "ass")):
        logs = {name: values[n : n + 1] for name, values in choice["logprobs"].items()}
        ends = {"finish_reason": "length" if n else None, "token_ids": choice["token_ids"][n : n + 1]}
        parts.append({"choices": [{"index": 0, "text": text, "logprobs": logs, **ends}]})
    return events(*parts, {"choices": [], "usage": VLLM["usage"]})


@pytest.mark.parametrize(
    "body",
    [json.dumps(LLAMACPP).encode(), json.dumps(VLLM).encode(), streamed_llamacpp(), streamed_chat(), streamed_vllm()],
)
def test_every_protocol_says_the_same(body):
    """Text, ids, log-probabilities, finish reason and bill."""
    reply = read_reply(Answer(200, {}, body, 0.1))
    assert (reply.text, reply.ids, reply.finish, reply.lost) == ("\nass", (198, 520), "length", "")
    assert (reply.prompt, reply.billed, reply.total) == (6, 2, 8)
    assert reply.told.pairs() == [[(198, -0.25), (520, -4.25)], [(520, -0.5), (4093, -2.0)]]


@pytest.mark.parametrize(
    "body",
    [
        streamed_chat().split(b'data: {"choices": [{"delta": {}, "fin')[0],  # no finish reason
        streamed_llamacpp()[:-160],
        events(
            {"choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}]}, {"error": {"message": "overloaded"}}
        ),
        b"data: nonsense\n\n" + streamed_chat(),
    ],
)
def test_a_stream_that_broke_off_is_no_shorter_reply(body):
    """It is lost: what came is chosen by what did not."""
    reply = read_reply(Answer(200, {}, body, 0.1))
    assert reply.lost
    assert not reply.text


def test_reasoning_beside_a_stream_is_told():
    """In its field, put together from its pieces."""
    said = {"choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}]}
    for field, pieces in (("reasoning_content", ("h", "m")), ("reasoning_details", ([{"text": "h"}], [{"text": "m"}]))):
        first, second = ({"choices": [{"delta": {field: piece}}]} for piece in pieces)
        reply = read_reply(Answer(200, {}, events(first, second, said), 0.1))
        assert (reply.thought, reply.field, reply.text) == ("hm", field, "a")


@pytest.mark.parametrize(
    "logprobs",
    [
        {"tokens": ["a"], "token_logprobs": [-1.0, -2.0]},
        {"tokens": 3, "token_logprobs": [-1.0]},
        {"token_logprobs": None},
    ],
)
def test_lists_that_do_not_go_together_say_nothing(logprobs):
    """And break nothing."""
    shaped = chat_shaped({"choices": [{"text": "a", "logprobs": logprobs}]})
    assert shaped["choices"][0]["logprobs"]["content"] == []


@pytest.mark.parametrize(
    "fields", [{}, {"choices": []}, {"choices": [3]}, {"choices": None, "content": 3}, {"content": "a"}]
)
def test_what_is_no_completion_is_left_as_it_is(fields):
    """Whatever a host sends."""
    assert chat_shaped(fields) == fields


def test_a_bill_behind_the_end_does_not_take_the_end_back():
    """Some hosts send an empty finish reason with the bill, and some a mark of byte order before everything."""
    said = {"choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}]}
    bill = {"choices": [{"delta": {}, "finish_reason": ""}], "usage": {"completion_tokens": 1}}
    reply = read_reply(Answer(200, {}, b"\xef\xbb\xbf" + events(said, bill), 0.1))
    assert (reply.text, reply.finish, reply.billed) == ("a", "stop", 1)


@pytest.mark.parametrize("end", [[], {}, 3, None, "limits"])
def test_an_end_that_is_none_breaks_nothing(end):
    """A list cannot be looked up in a table."""
    shaped = chat_shaped({"content": "a", "stop": True, "stop_type": end})
    assert shaped["choices"] == [{"text": "a"}]
