"""Streams are put together from bytes: cut anywhere, with comments, errors and lies, and never guessed at."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.targets.endpoint.stream import read_stream


def event(**delta) -> bytes:
    return b"data: " + json.dumps({"choices": [{"delta": delta}]}, ensure_ascii=False).encode() + b"\n\n"


def test_pieces_finish_and_bill_are_put_together():
    """The bill comes in an event without choices, as engines send it."""
    end = json.dumps({"choices": [{"delta": {}, "finish_reason": "stop"}]}).encode()
    body = event(role="assistant") + event(content="na") + b": a comment\n\n" + event(content="ïve")
    body += b"data: " + end + b'\n\ndata: {"choices": [], "usage": {"completion_tokens": 2}}\r\n\r\ndata: [DONE]\n\n'
    read = read_stream(body)
    assert (read.text, read.finish, read.usage, read.done) == ("naïve", "stop", {"completion_tokens": 2}, True)
    assert read.problems == []


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (event(content="x"), "without [DONE]"),
        (b"data: {nonsense\n\ndata: [DONE]\n\n", "no JSON"),
        (b"data: [DONE]\n\n" + event(content="x"), "after the end"),
        (b"data: \xff\xfe\n\n", "UTF-8"),
        (b'data: {"error": {"message": "overloaded"}}\n\ndata: [DONE]\n\n', "an error in the stream"),
        (b"data: " + b"[" * 100_000 + b"\n\n", "no JSON"),
    ],
)
def test_what_cannot_be_read_is_a_problem(body, problem):
    """Named, and no text is made of it."""
    assert problem in "; ".join(read_stream(body).problems)


def test_legacy_completions_are_read_too():
    """Their text stands beside the choice."""
    assert read_stream(b'data: {"choices": [{"text": "a"}]}\n\ndata: [DONE]\n\n').text == "a"


@given(st.binary(max_size=400))
def test_no_bytes_make_it_fail(body):
    """Whatever a host sends."""
    read_stream(body)
    read_stream(b"data: " + body + b"\n\n")
