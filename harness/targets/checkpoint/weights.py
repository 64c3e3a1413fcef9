"""Hold the loaded candidate's weights against the reference's files; runs in the isolated process only.

Quantization leaves a grid: few distinct values per block, or values at whole multiples of a block's step. Training
leaves none. Both move a weight by a little, so size alone cannot tell them apart; the grid can.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor

from harness.targets.weight_evidence import TensorEvidence, WeightEvidence

_FLOAT_NOISE = 1e-5  # relative; conversions through fp32 leave less than this
_SAMPLED_ROWS = 16
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
    ("5-bit, 64 per scale", 64, (31,), False),
    ("5-bit, 32 per scale", 32, (31,), False),
    ("5-bit, 32 per scale", 32, (15, 16), True),
    ("6-bit, 64 per scale", 64, (63,), False),
    ("6-bit, 16 per scale", 16, (31, 32), True),
    ("8-bit, 64 per scale", 64, (255,), False),
    ("8-bit, 32 per scale", 32, (127,), True),
    ("8-bit, 128 per scale", 128, (127, 128), True),
    ("8-bit, one scale per row", 0, (127, 128), True),
)
_ON_GRID, _OFF_GRID = 0.06, 0.12  # mean distance to the nearest multiple, in steps; 0.25 is what chance gives


def weight_evidence(model: Any, reference: Path) -> WeightEvidence:
    """Compare every tensor of a model with the tensor of the same name in the reference's safetensors files.

    The model must not have run yet: bitsandbytes repacks its weights for the CPU at the first forward pass.
    """
    files = {}
    for path in sorted(reference.glob("*.safetensors")):
        with safe_open(str(path), framework="pt") as stored:
            files.update(dict.fromkeys(stored.keys(), path))
    if not files:
        return WeightEvidence(
            tensors=(), unmatched=(), problem="the reference has no safetensors files to compare with"
        )
    found, unmatched = [], []
    for name, values in dense_tensors(model):
        path = files.pop(name, Path())
        if path == Path():
            unmatched.append(name)
            continue
        with safe_open(str(path), framework="pt") as stored:
            original = stored.get_tensor(name)
        if original.shape != values.shape:
            unmatched.append(name)
            continue
        found.append(compare_tensor(name, original, values.cpu()))
    left = [name for name in files if not name.endswith("lm_head.weight")]
    return WeightEvidence(tensors=tuple(found), unmatched=tuple(unmatched + left))


def dense_tensors(model: Any) -> Iterator[tuple[str, Tensor]]:
    """Every parameter as plain floats, packed ones dequantised; formats that cannot be unpacked here are left out."""
    for name, parameter in model.named_parameters():  # tied parameters come once
        dense = _unpacked(parameter)
        if dense is not None:
            yield name, dense


def _unpacked(parameter: Any) -> Tensor | None:
    if getattr(parameter, "quant_state", None) is not None:
        from bitsandbytes.functional import dequantize_4bit  # noqa: PLC0415

        return dequantize_4bit(parameter.data, parameter.quant_state).float()  # type: ignore[no-any-return]
    scales = getattr(parameter, "SCB", None)
    if scales is not None:
        return parameter.data.float() * (scales.float()[:, None] / 127.0)  # type: ignore[no-any-return]
    if parameter.dtype.is_floating_point and parameter.element_size() > 1:
        return parameter.data  # type: ignore[no-any-return]
    return None


def compare_tensor(name: str, reference: Tensor, candidate: Tensor) -> TensorEvidence:
    """The numbers of one tensor; both sides in fp32, sums in fp64."""
    a, b = reference.float(), candidate.float()
    norm = _norm(a)
    size = max(norm, 1e-30)
    relative = _norm(b - a) / size
    matrix = a.ndim == 2 and min(a.shape) > 1
    equal = relative < _FLOAT_NOISE
    zeroed = norm > 0 and not bool(b.any())
    scale = float(torch.dot(a.double().flatten(), b.double().flatten())) / size**2
    scaled = _norm(b - scale * a) / max(abs(scale) * size, 1e-30)
    evidence = TensorEvidence(
        name=name,
        shape=tuple(a.shape),
        matrix=matrix,
        equal=equal,
        zeroed=zeroed,
        relative_error=relative,
        scale=scale,
        scaled_error=min(scaled, 1e6),
        format_cast="" if equal else _cast(a, b),
    )
    if equal or zeroed or not matrix or evidence.format_cast:
        return evidence
    rows = np.linspace(0, a.shape[0] - 1, min(_SAMPLED_ROWS, a.shape[0])).astype(int)
    ours, theirs = a[rows].numpy(), b[rows].numpy()
    return evidence.model_copy(
        update={
            "grid": find_grid(ours, theirs),
            "distinct_reference": distinct_per_block(ours),
            "distinct_candidate": distinct_per_block(theirs),
            "permuted": _same_rows(a, b),
        }
    )


def _norm(values: Tensor) -> float:
    return float(torch.linalg.vector_norm(values, dtype=torch.float64))


def find_grid(reference: NDArray[np.float32], candidate: NDArray[np.float32]) -> str:
    """The first grid that the candidate's rows lie on and the reference's do not, or an empty string.

    A candidate stored as bf16 or fp16 has fewer distinct values for that reason alone, so the reference's rows are
    rounded to the same format first.
    """
    reference = _in_format_of(candidate, reference)
    for name, block, levels, symmetric in _LATTICES:
        ours, theirs = (lattice_residual(side, block, levels, symmetric) for side in (reference, candidate))
        if theirs < _ON_GRID and ours > _OFF_GRID:
            return name
    ours, theirs = distinct_per_block(reference), distinct_per_block(candidate)
    if theirs <= 16.5 and ours > 1.3 * theirs:
        return f"codebook, {theirs:.0f} values per {_BLOCK}"
    whole_ours, whole_theirs = (float(np.median(_distinct(side))) for side in (reference, candidate))
    if whole_theirs < 0.6 * whole_ours:
        return f"codebook, {whole_theirs:.0f} values per row"
    return ""


def _in_format_of(candidate: NDArray[np.float32], reference: NDArray[np.float32]) -> NDArray[np.float32]:
    values = torch.from_numpy(candidate)
    for dtype in (torch.bfloat16, torch.float16):
        if torch.equal(values.to(dtype).float(), values):
            rounded: NDArray[np.float32] = torch.from_numpy(reference).to(dtype).float().numpy()
            return rounded
    return reference


def lattice_residual(
    rows: NDArray[np.float32],
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


def distinct_per_block(rows: NDArray[np.float32]) -> float:
    """Median number of distinct values among 64 neighbouring inputs."""
    width = rows.shape[1] - rows.shape[1] % _BLOCK
    if not width:
        return float(np.median(_distinct(rows)))
    return float(np.median(_distinct(rows[:, :width].reshape(-1, _BLOCK)[:512])))


def _distinct(rows: NDArray[np.float32]) -> NDArray[np.int64]:
    """How many different values each row holds."""
    ranked = np.sort(rows, axis=1)
    found: NDArray[np.int64] = 1 + (ranked[:, 1:] != ranked[:, :-1]).sum(1)
    return found


def _cast(reference: Tensor, candidate: Tensor) -> str:
    for name, dtype in (("bf16", torch.bfloat16), ("fp16", torch.float16)):
        if torch.equal(reference.to(dtype).float(), candidate):
            return name
    return ""


def _same_rows(reference: Tensor, candidate: Tensor) -> bool:
    """Whether one side's rows are the other's in another order: compare sorted row sums and sorted first columns."""
    a, b = reference.double(), candidate.double()
    pairs = ((a.sum(1), b.sum(1)), (a[:, 0], b[:, 0]))
    return all(torch.allclose(x.sort().values, y.sort().values, rtol=1e-6, atol=1e-9) for x, y in pairs)
