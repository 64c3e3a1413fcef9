"""Reasoning inside a reply: marks learned from a template, replies taken apart and put together, texts split at marks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.prompts.thoughts import (
    THOUGHTS,
    USUAL,
    Marks,
    closed_reasoning,
    inline_reasoning,
    learn_marks,
    looks_alike,
    put_together,
    taken_apart,
    with_blanks_of,
    without_doubled,
    written,
)

HEAD = "<|im_start|>user\nIs it?<|im_end|>\n<|im_start|>assistant\n"
TAIL = "<|im_end|>\n"


def learned(asked, plain="Willow" + TAIL, thought=None):
    """Marks of a template by what it writes behind the header of a reply."""
    said = plain if thought is None else thought
    return learn_marks(HEAD + asked, HEAD + plain, HEAD + said, "Quartz", "Willow")


@pytest.mark.parametrize(
    ("asked", "thought", "marks"),
    [
        ("", "<think>\nQuartz\n</think>\n\nWillow",
         Marks(begin="<think>", end="</think>", after_begin="\n", before_end="\n", after_end="\n\n")),
        ("<think>\n", "<think>\nQuartz\n</think>\n\nWillow",
         Marks(begin="<think>", end="</think>", opened=True, before_end="\n", after_end="\n\n")),
        ("<think>", "<think>Quartz</think>Willow", Marks(begin="<think>", end="</think>", opened=True)),
        ("<think>\n\n</think>\n\n", "<think>\nQuartz\n</think>\n\nWillow",
         Marks(begin="<think>", end="</think>", before_end="\n", after_end="\n\n")),
        ("", "\u25c1think\u25b7Quartz\u25c1/think\u25b7Willow", Marks(begin="\u25c1think\u25b7", end="\u25c1/think\u25b7")),
        ("", "<|channel|>analysis<|message|>Quartz<|end|><|start|>assistant<|channel|>final<|message|>Willow",
         Marks(begin="<|channel|>analysis<|message|>", end="<|end|><|start|>assistant<|channel|>final<|message|>")),
        ("<ponder>", "<ponder>Quartz</ponder>Willow", Marks(begin="<ponder>", end="</ponder>", opened=True)),
    ],
)  # fmt: skip
def test_marks_are_learned_from_what_a_template_writes(asked, thought, marks):
    """Of families that think: opened by the prompt or not, with and without blanks, of several tokens, and of a new name."""
    assert learned(asked, thought=thought + TAIL) == marks


@pytest.mark.parametrize(
    ("asked", "begin", "end"),
    [("<think>\n", "<think>", "</think>"), ("<reason>\n", "<reason>", "</reason>"), ("[THINK]", "[THINK]", "[/THINK]")],
)
def test_a_template_that_drops_reasoning_may_still_open_it(asked, begin, end):
    """Then the closing mark is the opening one's own, and the blanks are the usual ones."""
    marks = learned(asked)
    assert (marks.begin, marks.end, marks.opened) == (begin, end, True)
    assert (marks.before_end, marks.after_end) == (USUAL.before_end, USUAL.after_end)


@pytest.mark.parametrize("asked", ["", "Sure: ", "<|answer|>\n\n"])
def test_a_template_without_reasoning_has_no_marks(asked):
    """Whatever it puts in front of replies."""
    assert not learned(asked)
    assert not learn_marks("", "", "", "Quartz", "Willow")


OPENED = USUAL.model_copy(update={"opened": True, "after_begin": ""})
WORDS = st.text(st.sampled_from("ab c\n."), max_size=12)


@given(WORDS, WORDS, st.sampled_from([USUAL, OPENED]))
def test_what_is_put_together_is_taken_apart_the_same(thought, answer, marks):
    """Blanks aside: what stands for a reply looks like it."""
    seen = (thought.strip(), answer.strip())
    raw = put_together(thought, answer, marks)
    assert taken_apart(raw, marks) == seen
    assert looks_alike(seen, raw, marks)
    assert put_together(*taken_apart(raw, marks), marks) == raw.strip() or not thought.strip()


@pytest.mark.parametrize("raw", ["\n Hm.</think>  Yes", "Hm.\n\n</think>Yes", "Hm.\n</think>\n\nYes", " Hm."])
def test_blanks_of_a_raw_reply_are_put_back(raw):
    """Where its ids tell them."""
    assert put_together(*taken_apart(raw, OPENED), with_blanks_of(raw, OPENED)) == raw
    marked = "<think>" + raw
    assert put_together(*taken_apart(marked, USUAL), with_blanks_of(marked, USUAL)) == marked


def test_what_a_parser_takes_away_makes_no_difference():
    """Marks, blanks at the seams, an opening mark in the prompt or in the reply, a closing mark that was cut in the middle."""
    raws = ["Hm.\n</think>\n\nYes", "\nHm. </think>Yes", "<think>Hm.</think>\nYes\n"]
    assert {taken_apart(raw, OPENED) for raw in raws} == {("Hm.", "Yes")}
    assert looks_alike(("Hm.", ""), "Hm.\n</thi", OPENED)
    assert not looks_alike(("Hm.", ""), "Hm. And so on", OPENED)
    assert not looks_alike(("Hm.", "Yes"), "Hm.</think>No", OPENED)


def test_an_answer_that_speaks_of_marks_is_left_alone():
    """Only the first closing mark ends reasoning, and a reply that opens none is an answer."""
    assert taken_apart("Hm.</think>Write </think> at the end.", OPENED) == ("Hm.", "Write </think> at the end.")
    assert taken_apart("No marks.", USUAL) == ("", "No marks.")


def test_a_mark_that_stood_in_the_prompt_is_taken_off():
    """And only there."""
    assert without_doubled("<think>Hm.", OPENED) == "Hm."
    assert without_doubled("<think>Hm.", USUAL) == "<think>Hm."


def test_all_that_was_written_is_one_text():
    """Reasoning in a field and reasoning in the text come to the same."""
    assert written("Hm.", "Yes") == "Hm.\nYes"
    assert written("", "<think>Hm.") == "Hm."
    assert written("Hm.", "") == "Hm."


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
