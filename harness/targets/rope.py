"""How far each pair of dimensions turns from one position to the next, computed from a configuration alone.

Rules for long contexts are written in many ways: by name, by factors, in fields of two generations of libraries. Two
configurations turn alike if and only if their frequencies and the scale of their rotation agree.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

_CLOSE = 1e-5  # relative; factors travel as 32-bit numbers
_THETA = 10_000.0
_KINDS = ("full_attention", "sliding_attention")


def same_turns(ours: dict[str, JsonValue], theirs: dict[str, JsonValue]) -> bool:
    """Whether two configurations turn queries and keys alike; False where a rule is not known here."""
    try:
        left, right = _tables(ours), _tables(theirs)
    except (KeyError, TypeError, ValueError, ZeroDivisionError, OverflowError, AttributeError):
        return False
    if left.keys() != right.keys():
        return False
    return all(
        a.shape == b.shape and bool(np.allclose(a, b, rtol=_CLOSE, atol=0))
        for name in left
        for a, b in zip(left[name], right[name], strict=True)
    )


def _tables(config: dict[str, JsonValue]) -> dict[str, tuple[NDArray[np.float64], ...]]:
    rope: Any = config.get("rope_parameters") or {}
    if any(kind in rope for kind in _KINDS):
        return {kind: _table(config, rope[kind]) for kind in _KINDS if kind in rope}
    return {"": _table(config, rope)}


def _table(config: dict[str, JsonValue], rope: Any) -> tuple[NDArray[np.float64], ...]:
    fields: Any = config
    heads = fields.get("num_attention_heads") or fields["n_head"]
    width = fields.get("head_dim") or (fields.get("hidden_size") or fields["n_embd"]) // heads
    share = rope.get("partial_rotary_factor", fields.get("partial_rotary_factor", 1.0))
    turning = int(width * (1.0 if share is None else share))
    theta = rope.get("rope_theta")
    exponents = np.arange(0, turning, 2, dtype=np.float64) / turning
    plain = float(_THETA if theta is None else theta) ** -exponents
    longest = fields.get("max_position_embeddings")
    first = rope.get("original_max_position_embeddings") or fields.get("original_max_position_embeddings") or longest
    kind = rope.get("rope_type") or rope.get("type") or "default"
    scale = 1.0
    if kind == "linear":
        plain = plain / rope["factor"]
    elif kind == "llama3":
        plain = _llama3(plain, rope, first)
    elif kind == "yarn":
        plain = _yarn(plain, rope, first, float(_THETA if theta is None else theta), turning)
        scale = _yarn_scale(rope)
    elif kind == "longrope":
        factors = np.array([rope["short_factor"], rope["long_factor"]], dtype=np.float64)
        factor = rope.get("factor") or longest / first
        scale = rope.get("attention_factor")
        if scale is None:
            scale = math.sqrt(1 + math.log(factor) / math.log(first)) if factor > 1 else 1.0
        if np.array_equal(factors[0], factors[1]):  # no second set: one rule for all lengths
            return plain / factors[0], np.array([scale], dtype=np.float64)
        return plain / factors[0], plain / factors[1], np.array([scale, first], dtype=np.float64)
    elif kind != "default":
        raise ValueError(kind)
    return plain, np.array([scale], dtype=np.float64)


def _llama3(plain: NDArray[np.float64], rope: Any, first: float) -> NDArray[np.float64]:
    low, high, factor = rope["low_freq_factor"], rope["high_freq_factor"], rope["factor"]
    turns = first * plain / (2 * math.pi)  # within the original context
    smooth = np.clip((turns - low) / (high - low), 0.0, 1.0)
    turned: NDArray[np.float64] = plain * (smooth + (1 - smooth) / factor)
    return turned


def _yarn(plain: NDArray[np.float64], rope: Any, first: float, theta: float, turning: int) -> NDArray[np.float64]:
    def place(turns: float) -> float:
        return turning * math.log(first / (turns * 2 * math.pi)) / (2 * math.log(theta))

    low, high = place(rope.get("beta_fast") or 32), place(rope.get("beta_slow") or 1)
    if rope.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, turning - 1)
    ramp = np.clip((np.arange(turning // 2) - low) / ((high - low) or 0.001), 0.0, 1.0)
    turned: NDArray[np.float64] = plain * (1 - ramp) + plain / rope["factor"] * ramp
    return turned


def _yarn_scale(rope: Any) -> float:
    stated = rope.get("attention_factor")
    if stated is not None:
        return float(stated)
    factor, one, all_dims = rope["factor"], rope.get("mscale"), rope.get("mscale_all_dim")

    def grown(times: float) -> float:
        return 1.0 if factor <= 1 else 0.1 * times * math.log(factor) + 1.0

    return grown(one) / grown(all_dims) if one and all_dims else grown(1.0)
