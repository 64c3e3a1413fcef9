"""What the weights say in sum: untouched, rounded, on a coarser grid, damaged in places, trained further, or others."""

from __future__ import annotations

from collections import Counter
from typing import Literal

import numpy as np

from harness.comparisons.model import Result
from harness.targets.weight_evidence import TensorEvidence, WeightEvidence

Kind = Literal["equal", "cast", "grid", "scaled", "permuted", "damaged", "moved", "unrelated", "unknown"]

_FOREIGN = 1.73  # error beside the best multiple of the reference; above it the cosine of both is under one half
_SCALE_ONLY = 1e-4


class WeightReading(Result):
    """Counts over the tensors that both sides have, and the kind of change that fits them.

    ``sqnr_db`` is the median signal-to-noise ratio of the changed matrices; ``grid`` the most frequent grid among
    them and ``on_grid`` how many lie on any. ``examples`` names a few tensors behind the reading.
    """

    kind: Kind
    tensors: int
    equal: int
    changed_matrices: int
    on_grid: int
    grid: str
    sqnr_db: float
    examples: tuple[str, ...]
    problem: str = ""


def read_weights(evidence: WeightEvidence) -> WeightReading:
    """Classify. The order is from the most specific pattern to the least; ``unknown`` when too little was matched."""
    tensors = evidence.tensors
    changed = [t for t in tensors if not t.equal and not t.format_cast]
    matrices = [t for t in changed if t.matrix]
    gridded = [t for t in matrices if t.grid]
    kind, examples = _kind(evidence, changed, matrices, gridded)
    grids = Counter(t.grid for t in gridded).most_common(1)
    errors = [t.relative_error for t in matrices if t.relative_error > 0]
    return WeightReading(
        kind=kind,
        tensors=len(tensors),
        equal=sum(t.equal for t in tensors),
        changed_matrices=len(matrices),
        on_grid=len(gridded),
        grid=grids[0][0] if grids else "",
        sqnr_db=float(-20 * np.log10(np.median(errors))) if errors else float("nan"),
        examples=tuple(t.name for t in examples[:4]),
        problem=evidence.problem,
    )


def _kind(
    evidence: WeightEvidence,
    changed: list[TensorEvidence],
    matrices: list[TensorEvidence],
    gridded: list[TensorEvidence],
) -> tuple[Kind, list[TensorEvidence]]:
    tensors = evidence.tensors
    if evidence.problem or len(tensors) < 2 or len(evidence.unmatched) > len(tensors):
        return "unknown", []
    if not changed:
        return ("cast" if any(t.format_cast for t in tensors) else "equal"), []
    permuted = [t for t in changed if t.permuted]
    if permuted:
        return "permuted", permuted
    foreign = [t for t in matrices if not t.zeroed and t.scaled_error > _FOREIGN]
    if matrices and len(foreign) >= sum(t.matrix for t in tensors) / 2:
        return "unrelated", foreign
    scaled = [t for t in changed if not t.zeroed and t.scaled_error < _SCALE_ONLY]
    if len(scaled) == len(changed):
        return "scaled", scaled
    zeroed = [t for t in changed if t.zeroed]
    if zeroed and len(zeroed) < len(tensors) / 2:
        return "damaged", zeroed
    if matrices and len(gridded) >= len(matrices) / 2:
        return "grid", gridded
    return ("damaged", foreign) if foreign else ("moved", changed)
