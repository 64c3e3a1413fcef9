"""Prompts side by side."""

from __future__ import annotations

from harness.comparisons.prompts import compare_prompts
from harness.targets.base import Encoded


def test_the_first_differing_token_is_named_and_equal_items_are_not():
    """A doubled first token is found at position 0; the same ids are no difference."""
    ours = {"a": Encoded(ids=(1, 2, 3)), "c": Encoded(text="<s>hi", ids=(9, 5), segments=(5, 2))}
    theirs = {"a": Encoded(ids=(1, 2, 3)), "c": Encoded(text="<s><s>hi", ids=(9, 9, 5), segments=(5, 5, 2))}
    reading = compare_prompts(ours, theirs, frozenset({"c"}))
    assert (reading.texts, reading.chats) == (1, 1)
    (difference,) = reading.differing
    assert (difference.item, difference.kind, difference.position) == ("c", "chat", 1)


def test_a_longer_prompt_differs_where_the_shorter_ends():
    """A lost generation prompt is a difference at the end."""
    reading = compare_prompts({"a": Encoded(ids=(1, 2, 3))}, {"a": Encoded(ids=(1, 2))}, frozenset())
    assert reading.differing[0].position == 2
