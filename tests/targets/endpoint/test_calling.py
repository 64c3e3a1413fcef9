"""Answers that call tools are read as they came, whole or streamed; what breaks the protocol is named and never mended."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.suites.requests import Call, Calling
from harness.targets.endpoint.calling import calling_body, read_called
from harness.targets.endpoint.transport import Answer

TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
ASKED = Calling(key="a", messages=({"role": "user", "content": "Weather?"},), tools=(TOOL,), limit=64)
STREAMED = ASKED.model_copy(update={"stream": True})


def read(message, finish="tool_calls", asked=ASKED, **fields):
    body = {"choices": [{"index": 0, "finish_reason": finish, "message": {"role": "assistant"} | message}]} | fields
    return read_called(Answer(200, {}, json.dumps(body).encode(), 0.1), asked)


def read_events(*deltas, finish="tool_calls", asked=STREAMED, done=True):
    """A stream as llama.cpp and vLLM send it: what was said in pieces, then the end, then the bill."""
    events = [{"choices": [{"index": 0, "finish_reason": None, "delta": delta}]} for delta in deltas]
    events.append({"choices": [{"index": 0, "finish_reason": finish, "delta": {}}]})
    events.append({"choices": [], "usage": {"completion_tokens": 7}})
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + ("data: [DONE]\n\n" if done else "")
    return read_called(Answer(200, {}, body.encode(), 0.1), asked)


def call(name="get_weather", arguments='{"city": "Oslo"}', own="c1", **more):
    return {"id": own, "type": "function", "function": {"name": name, "arguments": arguments}} | more


def test_a_call_is_read_with_its_bill():
    """As llama.cpp answers: empty text beside the calls."""
    found = read({"content": "", "tool_calls": [call()]}, usage={"completion_tokens": 31})
    assert found.calls == (Call(name="get_weather", arguments='{"city": "Oslo"}', id="c1"),)
    assert (found.text, found.finish, found.tokens, found.problems, found.lost) == ("", "tool_calls", 31, (), "")


@pytest.mark.parametrize(
    ("message", "field", "reasoning", "text"),
    [
        ({"content": "hi", "reasoning_content": "hm"}, "reasoning_content", "hm", "hi"),
        ({"content": "hi", "reasoning": "hm"}, "reasoning", "hm", "hi"),
        ({"content": "hi", "thinking": "hm"}, "thinking", "hm", "hi"),
        (
            {"content": "hi", "reasoning_details": [{"type": "reasoning.text", "text": "hm"}]},
            "reasoning_details",
            "hm",
            "hi",
        ),
        ({"content": "<think>hm</think>\n\nhi"}, "inline", "hm", "hi"),
        ({"content": "<mm:think>hm</mm:think>hi"}, "inline", "hm", "hi"),
        ({"content": "hm, well</think>hi"}, "inline", "hm, well", "hi"),
        ({"content": None, "reasoning_content": "hm"}, "reasoning_content", "hm", ""),
        ({"content": [{"type": "text", "text": "h"}, {"type": "text", "text": "i"}]}, "", "", "hi"),
    ],
)
def test_reasoning_is_found_wherever_it_stands(message, field, reasoning, text):
    """In every spelling that hosts have for its field, and inside the text."""
    found = read(message, "stop")
    assert (found.field, found.reasoning, found.text) == (field, reasoning, text)


@pytest.mark.parametrize(
    ("calls", "problem"),
    [
        ([call(own="c1"), call(own="c1")], "two calls have the same id"),
        ([call(own="")], "a call has no id"),
        ([call(name="")], "a call has no name"),
        ([call(type="tool")], "a call's type is not 'function'"),
        ([call(arguments={"city": "Oslo"})], "arguments are not sent as a text"),
        ([{"id": "c1"}], "a call holds no function"),
        ({"a": 1}, "tool_calls is no list"),
        ([call()] * 200, "more than 128 calls"),
    ],
)
def test_breaches_of_the_protocol_are_named(calls, problem):
    """And what can be read is read."""
    found = read({"content": None, "tool_calls": calls})
    assert problem in found.problems
    assert found.lost == ""


def test_the_old_protocol_is_read_and_named():
    """One call, in a field of its own."""
    found = read({"content": None, "function_call": {"name": "get_weather", "arguments": "{}"}}, "function_call")
    assert found.calls[0].name == "get_weather"
    assert "old protocol" in found.problems[0]


def test_arguments_that_are_no_json_stay_what_they_are():
    """Whether they are valid is judged elsewhere."""
    found = read({"content": None, "tool_calls": [call(arguments='{"city": "Os')]})
    assert (found.calls[0].arguments, found.problems) == ('{"city": "Os', ())


def test_a_stream_is_put_together_by_index():
    """Names and ids come once, arguments bit by bit, two calls between each other."""
    head = {"index": 0, "id": "a", "type": "function", "function": {"name": "get_weather", "arguments": "{"}}
    other = {"index": 1, "id": "b", "type": "function", "function": {"name": "get_time", "arguments": ""}}
    bits = [{"index": 1, "function": {"arguments": "{}"}}, {"index": 0, "function": {"arguments": '"city": 1}'}}]
    found = read_events({"role": "assistant", "content": None}, {"reasoning_content": "h"}, {"reasoning_content": "m"},
                        {"tool_calls": [head, other]}, *({"tool_calls": [bit]} for bit in bits))  # fmt: skip
    assert [(one.id, one.name, one.arguments) for one in found.calls] == [
        ("a", "get_weather", '{"city": 1}'),
        ("b", "get_time", "{}"),
    ]
    assert (found.reasoning, found.field, found.tokens, found.problems) == ("hm", "reasoning_content", 7, ())


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        (lambda: read_events({"tool_calls": [{"id": "a", "type": "function", "function": {"name": "x", "arguments": "{}"}}]}),
         "a piece of a call without an index"),
        (lambda: read_events({"content": "hi"}, finish="stop", done=False), "the stream ends without [DONE]"),
        (lambda: read_events({"content": "hi"}, finish="stop", asked=ASKED), "a stream was sent where none was asked for"),
        (lambda: read({"content": "hi"}, "stop", asked=STREAMED), "no stream was sent where one was asked for"),
        (lambda: read_events({"tool_calls": ["x"]}, finish="stop"), "a piece of a call that is no object"),
    ],
)  # fmt: skip
def test_streams_that_break_the_protocol_are_read_and_named(found, problem):
    """As far as they can be read."""
    assert problem in found().problems


def piece(index=0, name=None, arguments=None, own=None):
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    return {"tool_calls": [{"index": index, "type": "function", "function": function} | ({"id": own} if own else {})]}


@pytest.mark.parametrize(
    "deltas",
    [
        [piece(0, "get_weather", '{"city": 1}', "a"), piece(0, "get_time", "{}", "b")],
        [piece(0, "get_weather", "", "a"), piece(0, None, '{"city":'), piece(0, None, " 1}"), piece(0, "get_time", "", "b"),
         piece(0, None, "{}")],
        [piece(0, "get_weather", '{"city": 1}'), piece(0, "get_time", "{}")],
        [piece(0, "get_weather", '{"city":', "a"), piece(0, "get_weather", " 1}", "a"), piece(0, "get_time", "{}", "b")],
        [piece(1, "get_weather", '{"city": 1}', "a"), piece(1, "get_time", "{}", "b"), piece(1, "get_time", "{}", "b")],
    ],
    ids=["whole", "in-pieces", "without-ids", "names-repeated", "the-last-twice"],
)  # fmt: skip
def test_calls_that_share_an_index_are_read_as_clients_do_and_each_by_itself(deltas):
    """What a client makes of them is no call; what was meant is kept beside it, and the breach is named."""
    found = read_events(*deltas)
    assert len(found.calls) == 1
    assert "several calls of a stream share an index" in found.problems
    assert [(one.name, json.loads(one.arguments)) for one in found.apart] == [
        ("get_weather", {"city": 1}),
        ("get_time", {}),
    ]


def test_one_call_in_many_pieces_shares_its_index_with_nobody():
    """Engines repeat name and id with every piece, or send an empty piece at the end."""
    bits = [piece(0, "get_weather", part, "a") for part in ("{", '"city"', ": 1", "}", "")]
    found = read_events(*bits)
    assert [(one.name, one.arguments) for one in found.calls] == [("get_weather", '{"city": 1}')]
    assert (found.apart, found.problems) == ((), ())


UNENDED = b'data: {"choices": [{"delta": {"content": "x"}}]}\n\ndata: [DONE]\n\n'


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"data: {nonsense\n\n", "broken"),
        (UNENDED, "no finish_reason"),
        (b"{}", "no message"),
        (b'{"choices": [{"message": {"content": 5}}]}', "cannot be read"),
    ],
)
def test_what_is_no_answer_is_lost(body, reason):
    """With the reason."""
    assert reason in read_called(Answer(200, {}, body, 0.1), STREAMED).lost


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("auto", None),
        ("none", "none"),
        ("required", "required"),
        ("x", {"type": "function", "function": {"name": "x"}}),
    ],
)
def test_the_choice_is_sent_as_the_protocol_has_it(choice, sent):
    """What is usual is not sent at all."""
    body = calling_body(ASKED.model_copy(update={"choice": choice}), 1)
    assert body.get("tool_choice") == sent
    assert "stream_options" not in body
    assert calling_body(STREAMED, 1)["stream_options"] == {"include_usage": True}


FIELDS = st.sampled_from(["content", "tool_calls", "function", "name", "arguments", "id", "index", "reasoning", "text"])
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(JSONS)
def test_no_message_makes_reading_fail(message):
    """Whatever a host sends, whole or streamed; and what was read can be stored."""
    for answer in (
        read(message if isinstance(message, dict) else {}),
        read_events(message),
        read_events({"tool_calls": message}),
    ):
        type(answer).model_validate_json(answer.model_dump_json())


def test_content_in_parts_is_read_whole_and_streamed():
    """Texts are texts, and parts that think are reasoning."""
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "hi"}]
    for found in (read({"content": parts}, "stop"), read_events({"content": parts}, finish="stop")):
        assert (found.text, found.reasoning, found.field) == ("hi", "hm", "thinking")


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [({"completion_tokens": 148, "prompt_tokens": 10, "total_tokens": 2058}, 2048), ({"completion_tokens": 31}, 31), ({}, None),
     ({"completion_tokens": "x"}, None), ({"completion_tokens": -3}, None)],
)  # fmt: skip
def test_tokens_of_a_reply_are_those_of_its_reasoning_too(usage, tokens):
    """Some hosts leave reasoning out of what they call completion: a whole reply is not called cut for it."""
    assert read({"content": "x"}, "length", usage=usage).tokens == tokens
