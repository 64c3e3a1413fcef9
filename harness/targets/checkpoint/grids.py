"""Grids that quantization leaves in weights: few distinct values per block, or values at whole multiples of a block's step.

Training leaves none. Both move a weight by a little, so size alone cannot tell them apart; the grid can.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_BLOCK = 64
#: Name, block length (0 for a whole row), levels, symmetric. Levels count the steps from zero to the largest magnitude
#: where symmetric, else from minimum to maximum; of several, each block takes the one that fits it best, because the
#: largest code of a block may be one short. Coarse before fine: values on a 4-bit grid also lie on the 8-bit one.
_LATTICES: tuple[tuple[str, int, tuple[int, ...], bool], ...] = (
    ("3-bit, 64 per scale", 64, (7,), False),
    ("4-bit, 64 per scale", 64, (15,), False),
    ("4-bit, 128 per scale", 128, (15,), False),
    ("4-bit, 32 per scale", 32, (15,), False),
    ("4-bit, 32 per scale", 32, (7, 8), True),
    ("4-bit, 64 per scale", 64, (7, 8), True),
    ("4-bit, 128 per scale", 128, (7, 8), True),
    ("4-bit floats, 16 per scale", 16, (12, 8), True),
    ("4-bit floats, 32 per scale", 32, (12, 8), True),
    ("4-bit, one scale per row", 0, (15,), False),
    ("4-bit, one scale per row", 0, (7, 8), True),
    ("5-bit, 64 per scale", 64, (31,), False),
    ("5-bit, 32 per scale", 32, (31,), False),
    ("5-bit, 32 per scale", 32, (15, 16), True),
    ("6-bit, 64 per scale", 64, (63,), False),
    ("6-bit, 16 per scale", 16, (31, 32), True),
    ("8-bit, 64 per scale", 64, (255,), False),
    ("8-bit, 32 per scale", 32, (127,), True),
    ("8-bit, 32 per scale", 32, (255,), False),
    ("8-bit, 64 per scale", 64, (127, 128), True),
    ("8-bit, 128 per scale", 128, (127, 128), True),
    ("8-bit, 128 per scale", 128, (255,), False),
    ("8-bit, one scale per row", 0, (127, 128), True),
)
_ON_GRID, _OFF_GRID = 0.06, 0.12  # mean distance to the nearest multiple, in steps; 0.25 is what chance gives
_NEIGHBOURS = 16
_FP8_BLOCKS = (0, 128)  # one scale per row, tensor or square of 128: constant along each of these


def find_grid(reference: Floats, candidate: Floats) -> str:
    """The first grid that the candidate's rows lie on and the reference's do not, or an empty string.

    A candidate stored as bf16 or fp16 has fewer distinct values for that reason alone, so the reference's rows are
    rounded to the same format first.
    """
    reference = _in_format_of(candidate, reference)
    for name, block, levels, symmetric in _LATTICES:
        on_it = lattice_residual(candidate, block, levels, symmetric) < _ON_GRID
        if on_it and lattice_residual(reference, block, levels, symmetric) > _OFF_GRID:
            return name
    for block in _FP8_BLOCKS:
        if fp8_residual(candidate, block) < _ON_GRID and fp8_residual(reference, block) > _OFF_GRID:
            return "8-bit floats (e4m3)"
    for block in (_BLOCK, 32):
        ours, theirs = distinct_per_block(reference, block), distinct_per_block(candidate, block)
        if theirs <= 16.5 and ours > 1.3 * theirs:
            return f"codebook, {theirs:.0f} values per {block}"
    whole_ours, whole_theirs = (float(np.median(_distinct(side))) for side in (reference, candidate))
    if whole_theirs < 0.6 * whole_ours:
        return f"codebook, {whole_theirs:.0f} values per row"
    return ""


def _in_format_of(candidate: Floats, reference: Floats) -> Floats:
    values = torch.from_numpy(np.ascontiguousarray(candidate))
    for dtype in (torch.bfloat16, torch.float16):
        if torch.equal(values.to(dtype).float(), values):
            rounded: Floats = torch.from_numpy(np.ascontiguousarray(reference)).to(dtype).float().numpy()
            return rounded
    return reference


def lattice_residual(
    rows: Floats,
    block: int,
    levels: tuple[int, ...],
    symmetric: bool,  # noqa: FBT001
) -> float:
    """Mean distance of the weights to whole multiples of their block's step, in steps; 1 where blocks do not fit."""
    width = rows.shape[1]
    block = block or width
    if width % block:
        return 1.0
    groups = rows.reshape(-1, block).astype(np.float64)
    if symmetric:
        top = np.abs(groups).max(1, keepdims=True)
        low = np.zeros_like(top)
    else:
        low = groups.min(1, keepdims=True)
        top = groups.max(1, keepdims=True) - low
    live = top[:, 0] > 0
    if not live.any():
        return 1.0
    unit = (groups[live] - low[live]) / top[live]
    off = [np.abs(unit * n - np.round(unit * n)).mean(1) for n in levels]
    return float(np.min(off, axis=0).mean())


def fp8_residual(rows: Floats, block: int) -> float:
    """Mean distance of the weights' mantissas to three stored bits, in their last place, under the scale that fits best.

    Powers of two do not move a mantissa, so only eight scales can differ: those that put the largest weight of a block on
    one of the eight mantissas. 1 where blocks do not fit.
    """
    width = rows.shape[1]
    block = block or width
    if width % block:
        return 1.0
    groups = rows.reshape(-1, block).astype(np.float64)
    top = np.abs(groups).max(1, keepdims=True)
    groups = groups[top[:, 0] > 0]
    if not len(groups):
        return 1.0
    unit = np.abs(groups) / np.abs(groups).max(1, keepdims=True)
    normal = unit > 2.0**-14  # below lie the format's subnormal numbers, and zero
    off = []
    for mantissa in range(8, 16):
        places = np.frexp(unit * mantissa)[0] * 16
        distance = np.where(normal, np.abs(places - np.round(places)), 0.0)
        off.append(distance.sum(1) / np.maximum(normal.sum(1), 1))
    return float(np.min(off, axis=0).mean())


def distinct_per_block(rows: Floats, block: int = _BLOCK) -> float:
    """Median number of distinct values among neighbouring inputs."""
    width = rows.shape[1] - rows.shape[1] % block
    if not width:
        return float(np.median(_distinct(rows)))
    return float(np.median(_distinct(rows[:, :width].reshape(-1, block)[:512])))


def _distinct(rows: Floats) -> NDArray[np.int64]:
    """How many different values each row holds."""
    ranked = np.sort(rows, axis=1)
    found: NDArray[np.int64] = 1 + (ranked[:, 1:] != ranked[:, :-1]).sum(1)
    return found


def nearest_share(reference: Floats, candidate: Floats) -> float:
    """The share of weights that took the level nearest to where the reference's weight was.

    Levels are the values that the candidate holds among 16 neighbours, which every grid here shares a scale over. Rounding to
    nearest gives 1, whoever chose the scales; rounding that feeds its errors back, or weights that were edited before, give less.
    """
    width = reference.shape[1] - reference.shape[1] % _NEIGHBOURS
    if not width:
        return 1.0
    ours = reference[:, :width].reshape(-1, _NEIGHBOURS, 1)
    theirs = candidate[:, :width].reshape(-1, 1, _NEIGHBOURS)
    own = np.abs(candidate[:, :width].reshape(-1, _NEIGHBOURS) - ours[..., 0])
    best = np.abs(ours - theirs).min(-1)
    return float((own <= best * 1.02 + 1e-9).mean())
