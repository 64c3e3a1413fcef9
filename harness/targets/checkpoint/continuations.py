"""Log-probabilities of continuations, with what several of them share computed once; runs in the isolated process only."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from harness.suites.requests import Scored
from harness.targets.checkpoint.loading import Loaded

#: How far logs may move, in nats, where an opening's keys and values are kept: times the spacing of the model's numbers.
_SPACINGS = 64.0
_LEAST = 1e-4
_TAILS = 64  # continuations of one opening that run together
_TILE = 256  # tokens whose logits over the whole vocabulary are in memory at once
Pair = tuple[list[int], list[int]]
Run = tuple[list[int], list[tuple[list[int], int]]]


@dataclass(frozen=True, slots=True)
class Shape:
    """How requests run through a model: with shared openings computed once, or as whole rows, ``rows`` at a time."""

    shared: bool
    rows: int


def score_pairs(loaded: Loaded, pairs: Sequence[Pair], length: int, shape: Shape) -> list[Scored]:
    """Log-probability of every token of the second part of each pair, after the first; ``length`` is the model's context.

    Pairs with the same opening that stand next to each other share its computation. Openings that do not fit are cut at their
    beginning, as lm-eval cuts them.
    """
    out: list[Scored] = []
    with torch.inference_mode():
        for opening, group in _runs([_fitted(pair, length) for pair in pairs], shape):
            tails = [tail for tail, _ in group]
            states = _after_shared(loaded, opening, tails) if shape.shared else _in_rows(loaded, opening, tails)
            out += [_scored(loaded, rows, tail, cut) for rows, (tail, cut) in zip(states, group, strict=True)]
    return out


def keeps_caches(loaded: Loaded) -> bool:
    """Whether keys and values of an opening can be kept and continued several times: tried out on a few ids.

    Models with other states than keys and values, or with attention of their own, may fail or give something else. What happens
    beyond a window of attention, or where rope changes with length, is not tried: those models compute whole rows.
    """
    config = loaded.model.config.get_text_config()
    rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    if getattr(config, "sliding_window", None) or any(kind in str(rope) for kind in ("dynamic", "longrope")):
        return False
    step = max(loaded.vocabulary // 24, 1)
    ids = [i * step for i in range(1, 21)]
    opening, tails = ids[:12], [ids[12:16], ids[15:20], ids[16:17]]
    try:
        with torch.inference_mode():
            kept = [_logits(loaded, states) for states in _after_shared(loaded, opening, tails)]
            whole = [_logits(loaded, next(_in_rows(loaded, opening, [tail]))) for tail in tails]
    except (AttributeError, IndexError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError):
        return False
    dtype = loaded.model.dtype
    coarse = torch.finfo(dtype).eps if dtype.is_floating_point else 2**-8
    gaps = [(a.log_softmax(-1) - b.log_softmax(-1)).abs().max() for a, b in zip(kept, whole, strict=True)]
    return float(torch.stack(gaps).max()) <= max(_SPACINGS * coarse, _LEAST)


def _fitted(pair: Pair, length: int) -> tuple[list[int], list[int], int]:
    """Opening and continuation that fit into the context together with the number of tokens that were left out."""
    opening, tail = pair
    cut = max(len(opening) + len(tail) - length - 1, 0)
    cut = min(cut, len(opening) - 1)
    return opening[cut:], tail, cut


def _runs(fitted: Sequence[tuple[list[int], list[int], int]], shape: Shape) -> list[Run]:
    """Neighbours with the same opening, as many as may run together."""
    most = _TAILS if shape.shared else shape.rows
    runs: list[Run] = []
    for opening, tail, cut in fitted:
        if runs and runs[-1][0] == opening and len(runs[-1][1]) < most:
            runs[-1][1].append((tail, cut))
        else:
            runs.append((opening, [(tail, cut)]))
    return runs


def _after_shared(loaded: Loaded, opening: list[int], tails: Sequence[list[int]]) -> Iterator[Tensor]:
    """States before each token of each tail, ``[tokens, width]`` per tail; the opening runs through the model once.

    Tails are padded on the right: what follows a token does not reach it.
    """
    model, device = loaded.model, loaded.model.device
    longest = max(len(tail) for tail in tails) - 1
    ids = torch.tensor([opening], device=device)
    if longest == 0:
        last = _states(loaded, ids)[0, -1:]
        yield from (last for _ in tails)
        return
    from transformers import DynamicCache  # noqa: PLC0415

    cache = DynamicCache(config=model.config)
    last = _states(loaded, ids, cache)[0, -1:]
    cache.batch_repeat_interleave(len(tails))
    rows = torch.tensor([tail[:-1] + [0] * (longest + 1 - len(tail)) for tail in tails], device=device)
    states = _states(loaded, rows, cache)
    for row, tail in enumerate(tails):
        yield torch.cat([last, states[row, : len(tail) - 1]]) if len(tail) > 1 else last


def _in_rows(loaded: Loaded, opening: list[int], tails: Sequence[list[int]]) -> Iterator[Tensor]:
    """The same by whole rows, padded on the right."""
    rows = [opening + tail for tail in tails]
    longest = max(len(row) for row in rows) - 1
    ids = torch.tensor([row[:-1] + [0] * (longest + 1 - len(row)) for row in rows], device=loaded.model.device)
    states = _states(loaded, ids)
    for place, row in enumerate(rows):
        yield states[place, len(opening) - 1 : len(row) - 1]


def _states(loaded: Loaded, ids: Tensor, cache: Any = None) -> Tensor:
    """What logits are made from: final hidden states, or logits themselves where the head cannot be replayed."""
    body = loaded.model.base_model if loaded.head else loaded.model
    kept = {} if cache is None else {_cache_name(body): cache}
    output = body(input_ids=ids, use_cache=cache is not None, **kept)
    return output.last_hidden_state if loaded.head else output.logits  # type: ignore[no-any-return]


def _cache_name(body: Any) -> str:
    """What a model calls kept keys and values: transformers renamed it in 2026."""
    forward = getattr(type(body), "forward", body)
    return "cache" if "cache" in inspect.signature(forward).parameters else "past_key_values"


def _logits(loaded: Loaded, states: Tensor) -> Tensor:
    return loaded.head.logits(states.float()) if loaded.head else states.float()


def _scored(loaded: Loaded, states: Tensor, tail: list[int], cut: int) -> Scored:
    """Logs of the tail's tokens, a few tokens at a time; lost where one of them is no number."""
    logs: list[float] = []
    greedy = True
    for start in range(0, len(tail), _TILE):
        logits = _logits(loaded, states[start : start + _TILE])
        wanted = torch.tensor(tail[start : start + _TILE], device=logits.device)
        chosen = logits.log_softmax(-1).gather(-1, wanted[:, None])[:, 0]
        greedy = greedy and bool((logits.argmax(-1) == wanted).all())
        logs += [float(one) for one in chosen.double()]
    if not all(math.isfinite(one) for one in logs):
        return Scored(lost="the model's log-probabilities are not finite", cut=cut)
    return Scored(logs=tuple(logs), greedy=greedy, cut=cut)
