"""What of a reply counts: ids up to the first silent one that spell the text; everything else is lost, never guessed."""

from __future__ import annotations

import numpy as np
import pytest

from harness.auditing.asking import NO_IDS, scorable
from harness.targets.checkpoint.target import Workers
from harness.targets.endpoint.replies import Reply
from harness.targets.opening import open_target
from harness.targets.spec import parse_spec


@pytest.fixture(scope="module")
def target(toy, tmp_path_factory):
    """The toy checkpoint, whose tokens are bytes: ids of a text are its byte-level letters."""
    with Workers() as workers:
        yield open_target(parse_spec(str(toy)), workers, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def silent(target):
    return target.silent()


def ids(target, text):
    (encoded,) = target.tokenize([text])
    return encoded.ids


def stop(silent):
    return int(np.flatnonzero(silent)[-1])


def scored(target, silent, **reply):
    (found,) = scorable([Reply(**reply)], target, silent, stop(silent))
    return found


def test_control_tokens_and_pieces_of_characters_are_silent(target, silent):
    """Letters are audible; bytes beyond ASCII stand for no character of their own."""
    assert not silent[list(ids(target, "a z!"))].any()
    assert silent[list(ids(target, "é"))].all()
    assert silent[stop(silent)]


def test_a_reply_that_was_cut_counts_to_its_end(target, silent):
    """finish_reason length: no stop is added."""
    said = ids(target, "abc")
    assert scored(target, silent, text="abc", ids=said, finish="length", billed=3).ids == said


def test_a_reply_that_stopped_ends_with_its_stop(target, silent):
    """Whether the host sends the stop's id or not."""
    said, end = ids(target, "abc"), stop(silent)
    assert scored(target, silent, text="abc", ids=said, finish="stop", billed=4).ids == (*said, end)
    assert scored(target, silent, text="abc", ids=(*said, end), finish="stop", billed=4).ids == (*said, end)


def test_a_reply_ends_at_the_first_piece_of_a_character(target, silent):
    """What comes after it is not scored, because hosts may leave such tokens out."""
    whole = ids(target, "abéc")
    found = scored(target, silent, text="abéc", ids=whole, finish="length", billed=len(whole))
    assert found.ids == whole[:3]
    assert silent[found.ids[-1]]


def test_ids_that_were_left_out_end_a_reply_where_they_are_missing(target, silent):
    """Fewer ids than were billed: the host left the pieces of a character out."""
    found = scored(target, silent, text="abéc", ids=ids(target, "abc"), finish="length", billed=5)
    assert found.ids == (*ids(target, "ab"), stop(silent))


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        ({"text": "abd", "finish": "length", "billed": 3}, "spell"),
        ({"text": "abc", "ids": None, "finish": "stop"}, NO_IDS),
        ({"lost": "timeout"}, "timeout"),
        ({"text": "abc", "ids": (99_999,), "finish": "stop"}, "tokenizer"),
    ],
)
def test_what_nobody_can_know_is_lost(target, silent, reply, why):
    """Ids of another text, no ids, no answer, ids that do not exist."""
    found = scored(target, silent, **({"ids": ids(target, "abc")} | reply))
    assert found.ids == ()
    assert why in found.lost


def test_an_empty_reply_is_a_stop(target, silent):
    """It says nothing about weights, and everything about lengths."""
    assert scored(target, silent, text="", ids=None, finish="stop", billed=1).ids == (stop(silent),)
