"""Sequences, segments and the windows of llama.cpp."""

from __future__ import annotations

from harness.prompts.sequences import SEGMENTS, Sequence, document_sequence, label_segments, reply_sequence
from harness.prompts.windows import perplexity_windows
from harness.suites.model import Message


def test_segments_follow_contents_and_leave_markup():
    """Tokens inside a message carry its role; what the template adds is markup; a stripped content is still found."""
    turns = (Message(role="system", content="Be brief."), Message(role="user", content="  hi there \n"))
    text = "<s>system\nBe brief.</s><s>user\nhi there</s>"
    offsets = [(i, i + 1) for i in range(len(text))]
    names = [SEGMENTS[code] for code in label_segments(text, offsets, turns)]
    assert set(names[text.index("Be") : text.index("Be") + 9]) == {"system"}
    assert set(names[text.index("hi") : text.index("hi") + 8]) == {"user"}
    assert set(names[:10]) == {"markup"}


def test_repeated_contents_are_found_in_order():
    """The same words said by two roles belong to both, in turn."""
    turns = (Message(role="user", content="yes"), Message(role="assistant", content="yes"))
    text = "U:yes A:yes"
    names = [SEGMENTS[code] for code in label_segments(text, [(i, i + 1) for i in range(len(text))], turns)]
    assert names[2] == "user"
    assert names[8] == "assistant"


def test_a_reply_is_scored_from_the_position_that_predicts_its_first_token():
    """Prompt of three, reply of four: positions 2 to 5 predict the reply."""
    sequence = reply_sequence("a", "d", "a", [1, 2, 3], [5, 5, 5], [7, 8, 9, 10])
    assert (sequence.first, sequence.end, sequence.scored) == (2, 6, 4)
    assert sequence.segments[3:] == (SEGMENTS.index("response"),) * 4


def test_short_documents_keep_something_to_score():
    """A text shorter than the skip is scored at its end rather than dropped."""
    assert document_sequence("a", "d", "a", range(10), 32).scored == 2


def test_sequences_survive_storage():
    """The stored form reads back equal."""
    sequence = reply_sequence("a", "d", "u", [1, 2], [5, 5], [7])
    assert Sequence.from_json(sequence.to_json()) == sequence


def test_windows_follow_the_perplexity_tool():
    """512-token windows, 255 scored positions each, the incomplete last one dropped, BOS only where asked."""
    windows = perplexity_windows(list(range(1300)), 512, None, None)
    assert len(windows) == 2
    assert [(w.first, w.end, w.scored) for w in windows] == [(256, 511, 255)] * 2
    assert windows[1].ids[0] == 512
    assert perplexity_windows(list(range(1300)), 512, 1, 99)[0].ids[0] == 99
