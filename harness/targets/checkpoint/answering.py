"""Requests of tasks, answered by a loaded model; runs in the isolated process only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from harness.suites.requests import Answered, Asked, Calling, Continuation, Opening, Rolling, Scored, Writing, Written
from harness.targets.checkpoint.calling import call_tools
from harness.targets.checkpoint.continuations import Pair, Shape, keeps_caches, score_pairs
from harness.targets.checkpoint.loading import Loaded
from harness.targets.checkpoint.openings import (
    context_length,
    encode_continuation,
    encode_opening,
    first_id,
    opening_text,
    rolling_windows,
)
from harness.targets.checkpoint.writing import Prompt, write_replies

Wanted = TypeVar("Wanted", Writing, Calling)
_TOO_LONG = "the text does not fit into the model's context"
_EMPTY = "the continuation adds no token"
_NOTHING_BEFORE = "nothing stands before the text, and the tokenizer has no token that begins or ends texts"


def answer(
    loaded: Loaded, tokenizer: Any, asked: Sequence[Asked], rows: int, seed: int, *, shared: bool
) -> list[Answered]:
    """One answer per request, in their order. ``rows`` run together; ``shared`` computes common openings once.

    A model whose states cannot be kept computes whole rows, whatever was asked for.
    """
    if shared and loaded.shares is None:
        loaded.shares = keeps_caches(loaded)
    shape = Shape(shared and bool(loaded.shares), rows)
    length = context_length(loaded.model.config, tokenizer)
    found: dict[int, Answered] = {}
    scored = [(place, one) for place, one in enumerate(asked) if isinstance(one, Continuation)]
    pairs = [encode_continuation(tokenizer, one, loaded.spec.base) for _, one in scored]
    found |= zip((place for place, _ in scored), _scored(loaded, pairs, length, shape), strict=True)
    for place, one in enumerate(asked):
        if isinstance(one, Rolling):
            windows = _scored(loaded, rolling_windows(tokenizer, one.text, length), length, shape)
            found[place] = Scored(
                logs=tuple(log for window in windows for log in window.logs),
                greedy=all(window.greedy for window in windows),
                lost=next((window.lost for window in windows if window.lost), ""),
            )
    writings = [(place, one) for place, one in enumerate(asked) if isinstance(one, Writing)]
    for group in _alike(writings, rows):
        found |= _written(loaded, tokenizer, group, length, seed)
    callings = [(place, one) for place, one in enumerate(asked) if isinstance(one, Calling)]
    for offers in _alike(callings, rows):
        replies = call_tools(loaded, tokenizer, [one for _, one in offers], length, seed)
        found |= zip((place for place, _ in offers), replies, strict=True)
    return [found[place] for place in range(len(asked))]


def _scored(loaded: Loaded, pairs: list[Pair], length: int, shape: Shape) -> list[Scored]:
    """Scores of the pairs that can be scored; the others are lost, and say why."""
    fit = [bool(opening and tail) and len(tail) <= length for opening, tail in pairs]
    scores = iter(score_pairs(loaded, [pair for pair, fits in zip(pairs, fit, strict=True) if fits], length, shape))
    return [
        next(scores) if fits else Scored(lost=_EMPTY if not tail else _TOO_LONG if opening else _NOTHING_BEFORE)
        for fits, (opening, tail) in zip(fit, pairs, strict=True)
    ]


def _alike(asked: Sequence[tuple[int, Wanted]], rows: int) -> Iterator[list[tuple[int, Wanted]]]:
    """Requests that want the same limit and temperature, at most ``rows`` at a time."""
    groups: dict[tuple[int, float], list[tuple[int, Wanted]]] = {}
    for place, one in asked:
        groups.setdefault((one.limit, one.temperature), []).append((place, one))
    for group in groups.values():
        for start in range(0, len(group), rows):
            yield group[start : start + rows]


def _written(
    loaded: Loaded, tokenizer: Any, group: list[tuple[int, Writing]], length: int, seed: int
) -> dict[int, Answered]:
    """Replies of requests that run together; openings are cut at their beginning to leave room for the reply."""
    room = length - group[0][1].limit
    if room < 1:
        return {place: Written(lost=_TOO_LONG) for place, _ in group}
    prompts = []
    for _, one in group:
        text = opening_text(tokenizer, one.opening, loaded.spec.base)
        ids = encode_opening(tokenizer, text, rendered=_rendered(one.opening)) or first_id(tokenizer)
        if not ids:
            return {place: Written(lost=_NOTHING_BEFORE) for place, _ in group}
        prompts.append(Prompt(ids[-room:], max(len(ids) - room, 0)))
    replies = write_replies(loaded, tokenizer, [one for _, one in group], prompts, seed)
    return dict(zip((place for place, _ in group), replies, strict=True))


def _rendered(opening: Opening) -> bool:
    return opening.text is None
