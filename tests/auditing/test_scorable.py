"""What of a reply counts: ids up to the first silent one that spell the text; everything else is lost, never guessed."""

from __future__ import annotations

import numpy as np
import pytest

from harness.auditing.scorable import of_pinned, recut_replies, scorable, tells_no_ids
from harness.targets.checkpoint.target import Workers
from harness.targets.endpoint.extras import read_extras
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


def scored(target, silent, tokens=0, **reply):
    asked = tokens or len(reply.get("ids") or ()) or 8
    (found,) = scorable([Reply(**reply)], target, silent, stop(silent), asked)
    return found


def recut(target, silent, text, finish="stop"):
    (found,) = recut_replies([Reply(text=text, finish=finish)], target, silent, stop(silent), 64)
    return found


def test_control_tokens_and_pieces_of_characters_are_silent(target, silent):
    """Letters are audible; bytes beyond ASCII stand for no character of their own."""
    assert not silent[list(ids(target, "a z!"))].any()
    assert silent[list(ids(target, "é"))].all()
    assert silent[stop(silent)]


def test_what_another_host_than_the_pinned_one_wrote_is_lost():
    """It is another endpoint's answer; what does not say who wrote it counts."""
    extras = read_extras('{"provider": {"only": ["deepinfra"]}}')
    found = of_pinned(Reply(text="a", provider="Novita"), extras)
    assert found.lost == "answered by Novita and not by deepinfra"
    assert not of_pinned(Reply(text="a", provider="DeepInfra"), extras).lost
    assert not of_pinned(Reply(text="a"), extras).lost


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


def test_a_piece_that_never_became_a_character_ends_a_reply_where_it_stands(target, silent):
    """The text shows a replacement character, the ids leave the piece out, and the bill counts it."""
    before, after = ids(target, "ab"), ids(target, "cd")
    found = scored(target, silent, 5, text="ab\ufffdcd", ids=(*before, *after), finish="length", billed=5)
    assert found.ids == (*before, stop(silent))
    assert scored(target, silent, 4, text="ab\ufffdcd", ids=(*before, *after), finish="length", billed=4).lost


def test_a_reply_that_was_cut_before_its_tokens_were_used_up_ends_there(target, silent):
    """finish_reason length after three of eight tokens: the host clips, and the length process must see it."""
    said = ids(target, "abc")
    found = scored(target, silent, tokens=8, text="abc", ids=said, finish="length", billed=3)
    assert found.ids == (*said, stop(silent))


def test_one_token_too_many_on_the_bill_is_no_end(target, silent):
    """All tokens that were asked for came: what else was billed is not a piece of a character."""
    found = scored(target, silent, tokens=3, text="abc", ids=ids(target, "abc"), finish="length", billed=4)
    assert "billed" in found.lost


@pytest.mark.parametrize(
    "text", ["Great job! 🌟 and more", "Result: ✅ done", "“fine” 🤔", "नमस्ते and 日本語", "😀 first", "plain words"]
)
@pytest.mark.parametrize("listed", ["all", "last", "none"])
def test_characters_in_pieces_end_a_reply_where_they_begin(smollm, tmp_path_factory, text, listed):
    """As engines list them: every piece, the last of each character alone, or none; an honest reply is never lost."""
    with Workers() as workers:
        real = open_target(parse_spec(str(smollm)), workers, tmp_path_factory.mktemp("cache"))
        quiet = real.silent()
        (whole,) = real.recut([text])
        given = [
            token
            for place, token in enumerate(whole)
            if not quiet[token]
            or listed == "all"
            or (listed == "last" and (place + 1 == len(whole) or not quiet[whole[place + 1]]))
        ]
        reply = Reply(text=text, ids=tuple(given), finish="stop", billed=len(whole) + 1)
        (found,) = scorable([reply], real, quiet, stop(quiet), 64)
    first = next((place for place, token in enumerate(whole) if quiet[token]), len(whole))
    assert not found.lost
    assert found.ids[:-1] == whole[:first]


@pytest.mark.parametrize("text", ["abc", " abc ", "abc\n", "\n\nabc"])
def test_blanks_that_a_gateway_trims_change_nothing(target, silent, text):
    """The ids say more than the text: they are scored as they are."""
    said = ids(target, text)
    assert scored(target, silent, text=text.strip(), ids=said, finish="stop", billed=len(said)).ids[:-1] == said


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        ({"text": "abd", "finish": "length", "billed": 3}, "spell"),
        ({"text": "xabc", "finish": "stop", "billed": 4}, "spell"),
        ({"text": "xabc", "finish": "stop", "billed": 9}, "spell"),
        ({"text": "abc", "finish": "stop", "billed": 7}, "billed"),
        ({"text": "abc", "finish": "length", "billed": 2}, "billed"),
        ({"text": "abc", "finish": "content_filter", "billed": 3}, "content_filter"),
        ({"text": "abc", "finish": "", "billed": 3}, "another reason"),
        ({"text": "", "ids": None, "finish": "length"}, "empty"),
        ({"lost": "timeout"}, "timeout"),
        ({"text": "abc", "ids": (99_999,), "finish": "stop"}, "tokenizer"),
        ({"text": "abc" * 5, "tokens": 3, "ids": (97, 98, 99) * 5, "finish": "stop"}, "longer"),
    ],
)
def test_what_nobody_can_know_is_lost(target, silent, reply, why):
    """Ids of another text, another number than was billed, a filter, no answer, ids that do not exist, too many of them.

    A loss counts against every accusation, so a host that hides what it said gains nothing by it.
    """
    found = scored(target, silent, **({"ids": ids(target, "abc")} | reply))
    assert found.ids == ()
    assert why in found.lost


@pytest.mark.parametrize("change", [str, lambda t: t + "\n", lambda t: "  " + t, lambda t: t + "\ufffd"])
def test_what_gateways_change_on_the_way_does_not_change_how_a_text_is_cut(target, silent, change):
    """A space, a newline, a cut last character: a verdict on weights must not hang on them."""
    assert recut(target, silent, change("cafe au lait")).ids == recut(target, silent, "cafe au lait").ids


def test_a_text_without_ids_ends_at_the_first_piece_of_a_character(target, silent):
    """As with ids: what is scored is a function of the text."""
    found = recut(target, silent, "abéc")
    assert found.ids[:-1] == ids(target, "ab")
    assert silent[found.ids[-1]]
    assert recut(target, silent, "e\u0301tude").ids == recut(target, silent, "étude").ids


def test_one_reply_without_ids_puts_all_on_their_texts():
    """One rule for all replies; empty and lost ones say nothing about ids."""
    told, untold = Reply(text="a", ids=(97,), finish="stop"), Reply(text="a", finish="stop")
    assert tells_no_ids([told, untold])
    assert not tells_no_ids([told, Reply(finish="stop"), Reply(lost="timeout")])


def test_an_empty_reply_is_a_stop(target, silent):
    """It says nothing about weights, and everything about lengths."""
    assert scored(target, silent, text="", ids=None, finish="stop", billed=1).ids == (stop(silent),)


def test_padding_behind_a_reply_is_no_part_of_it(target, silent):
    """One silent id over and over, past what is billed; ids that nobody's vocabulary has lose the reply and end nothing."""
    said = (*ids(target, "hello"), stop(silent))
    sound = {"text": "hello", "finish": "stop", "billed": len(said)}
    padded = scored(target, silent, tokens=16, ids=(*said, *[stop(silent)] * 3), **sound)
    assert padded == scored(target, silent, tokens=16, ids=said, **sound)
    assert padded.ids == said
    assert scored(target, silent, tokens=16, ids=(*said[:2], 10**6), **sound).lost
