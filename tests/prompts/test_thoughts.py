"""Reasoning inside a text is found at its beginning, also where the template has opened it."""

from __future__ import annotations

import pytest

from harness.prompts.thoughts import THOUGHTS, closed_reasoning, inline_reasoning


@pytest.mark.parametrize(("begin", "end"), THOUGHTS)
def test_reasoning_is_split_from_what_is_said(begin, end):
    """Whole, opened by the prompt, without its beginning, and without its end."""
    assert inline_reasoning(f"{begin}hm{end}\nhi") == ("hm", "hi")
    assert inline_reasoning(f"hm{end}hi", f"<|assistant|>{begin}\n") == ("hm", "hi")
    assert inline_reasoning(f"hm{end}hi") == ("hm", "hi")
    assert inline_reasoning(f"{begin}hm and no end") == ("hm and no end", "")


def test_a_text_without_reasoning_stays_as_it_is():
    """Also one that speaks of it."""
    assert inline_reasoning("I think, <b>therefore</b> I am.") == ("", "I think, <b>therefore</b> I am.")


@pytest.mark.parametrize(("begin", "end"), THOUGHTS)
def test_what_a_template_has_opened_can_be_closed(begin, end):
    """A forced call does not begin inside of thoughts."""
    assert closed_reasoning(f"<|assistant|>{begin}\n").endswith(f"{begin}\n\n{end}\n\n")
    assert closed_reasoning("<|assistant|>") == "<|assistant|>"
