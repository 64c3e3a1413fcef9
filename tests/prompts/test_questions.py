"""Questions: none twice, the same for the same nonce, and no more than there are."""

from __future__ import annotations

import pytest

from harness.errors import UsageError
from harness.prompts.questions import draw_questions


def texts(count, nonce):
    return [one.messages[0]["content"] for one in draw_questions(count, nonce)]


def test_no_question_comes_twice():
    """All 2400 are different, whole sentences, and no placeholder is left."""
    drawn = texts(2400, "x")
    assert len(set(drawn)) == 2400
    assert not any("{" in text for text in drawn)
    assert all(text[0].isupper() for text in drawn)


def test_the_nonce_decides():
    """Repeatable for who knows it, another order for everybody else."""
    assert texts(20, "a") == texts(20, "a") != texts(20, "b")


def test_more_than_there_are_is_refused():
    """With the number that there are."""
    with pytest.raises(UsageError, match="2400"):
        draw_questions(2401, "a")
