"""Contents in text parts are one text, as engines make it; what is no text is refused."""

from __future__ import annotations

import pytest

from harness.prompts.conversation import Conversation
from harness.prompts.parts import GAPS, in_one_text, is_split


def asked(*contents):
    return Conversation(messages=tuple({"role": "user", "content": one} for one in contents))


def test_one_part_is_its_text_and_several_are_joined_as_each_engine_does():
    """A text stays what it is; null stays null."""
    whole = asked("a", [{"type": "text", "text": "b"}], None)
    assert not is_split(whole)
    assert [one["content"] for one in in_one_text(whole).messages] == ["a", "b", None]
    split = asked([{"type": "text", "text": "a"}, {"type": "input_text", "text": "b"}, "c"])
    assert is_split(split)
    assert [in_one_text(split, gap).messages[0]["content"] for gap in GAPS] == ["a\nb\nc", "a b c", "abc"]


@pytest.mark.parametrize(
    "part", [{"type": "image_url", "image_url": {"url": "x"}}, {"type": "text"}, 5, {"type": "text", "text": None}]
)
def test_what_is_no_text_is_refused(part):
    """Only texts are compared."""
    with pytest.raises(ValueError, match="no text"):
        in_one_text(asked([part]))
