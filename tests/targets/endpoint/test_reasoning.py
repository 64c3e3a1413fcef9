"""Reasoning in a message: every field that hosts use, and what cannot be put back is said to be withheld."""

from __future__ import annotations

import json

import pytest

from harness.targets.endpoint.client import Answer
from harness.targets.endpoint.reasoning import read_thought, thinking_tokens
from harness.targets.endpoint.replies import read_reply

DETAILS = [
    {"type": "reasoning.text", "text": "Hm", "index": 0},
    {"type": "reasoning.text", "text": ", so.", "index": 0},
]


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"reasoning_content": "Hm, so."}, "reasoning_content"),
        ({"reasoning": "Hm, so."}, "reasoning"),
        ({"thinking": "Hm, so."}, "thinking"),
        ({"reasoning_details": DETAILS}, "reasoning_details"),
        ({"reasoning": "Hm, so.", "reasoning_details": DETAILS}, "reasoning"),
        ({"content": [{"type": "thinking", "thinking": "Hm, so."}, {"type": "text", "text": "Yes"}]}, "thinking"),
    ],
)
def test_every_field_is_read(message, field):
    """Texts, lists of parts, and parts of the content."""
    found = read_thought(message)
    assert (found.text, found.field, found.withheld) == ("Hm, so.", field, "")


@pytest.mark.parametrize(
    ("message", "usage", "withheld"),
    [
        ({"reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]}, None, "hidden"),
        ({"content": "Yes"}, {"completion_tokens_details": {"reasoning_tokens": 40}}, "hidden"),
        ({"reasoning": "Thought a lot", "reasoning_details": [{"type": "reasoning.summary", "summary": "Thought a lot"}]},
         None, "summarised"),
        ({"reasoning": "Hm, so.", "reasoning_content": "Something else"}, None, "contradictory"),
        ({"content": "Yes"}, None, ""),
        ({"content": "Hm</think>Yes"}, {"completion_tokens_details": {"reasoning_tokens": 40}}, ""),
        ({"content": "Yes", "reasoning_details": [{"type": "reasoning.text", "text": ""}]}, None, ""),
        ({"content": "Yes", "reasoning": "", "reasoning_content": None, "reasoning_details": []}, None, ""),
    ],
)  # fmt: skip
def test_what_is_not_what_was_written_is_withheld(message, usage, withheld):
    """Hidden, summarised, or told in two ways; empty fields are none."""
    assert read_thought(message, usage).withheld == withheld


@pytest.mark.parametrize("value", [{}, 3, [3], [None], [{"text": 3}], [{"type": ["x"]}], {"a": "b"}, True])
def test_what_is_no_reasoning_is_none(value):
    """A hostile field is no text and no crash."""
    assert read_thought({"reasoning": value, "content": "Yes"}).text == ""
    assert thinking_tokens({"completion_tokens_details": value}) == 0


def test_a_reply_holds_its_reasoning():
    """With the field, beside the text; an answer in parts is a text, too."""
    parts = [{"type": "reasoning", "text": "Hm"}, {"type": "text", "text": "Yes"}]
    for message in ({"content": "Yes", "reasoning": "Hm"}, {"content": parts}):
        body = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode()
        found = read_reply(Answer(200, {}, body, 0.1))
        assert (found.text, found.thought, found.withheld, found.lost) == ("Yes", "Hm", "", "")
