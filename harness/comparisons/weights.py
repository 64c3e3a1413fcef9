"""What the weights say in sum: untouched, rounded, on a coarser grid, damaged in places, trained further, or others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import prod
from typing import Literal

import numpy as np

from harness.comparisons.model import Result
from harness.targets.weight_evidence import TensorEvidence, WeightEvidence

Kind = Literal["equal", "cast", "grid", "scaled", "permuted", "damaged", "moved", "unrelated", "unknown"]

_FOREIGN = 1.73  # error beside the best multiple of the reference; above it the cosine of both is under one half
#: Share of signs from which on a matrix is the reference's with channels scaled; strangers share one half.
_RESCALED = 0.7
_SCALE_ONLY = 1e-4
#: The largest share of the weights, by number, that may lack a counterpart for the rest to speak for the model.
_MAY_BE_UNMATCHED = 0.01
#: How far from a rebuilt claim, in units of what its rounding moves, still counts as rebuilt: scales stored in fewer bits.
_REBUILT = 0.25
#: The share of weights on their nearest level that rounding to nearest leaves when its result is stored as bf16.
_NEAREST = 0.97
_FEW_DIRECTIONS = 2.0


class WeightReading(Result):
    """Counts over the tensors that both sides have, and the kind of change that fits them.

    ``sqnr_db`` is the median signal-to-noise ratio of the changed matrices; ``grid`` the most frequent grid among
    them and ``on_grid`` how many lie on any. ``examples`` names a few tensors behind the reading. ``rounded`` counts
    changed matrices that are what rounding to nearest makes of the reference's, or exactly what the claim makes of them;
    ``not_rounded`` names a few that are not. ``few_directions`` says that the changes have the low rank of learned ones.
    ``unmatched`` names tensors without a counterpart, ``other_modalities`` counts those outside the text path.
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
    rounded: int = 0
    not_rounded: tuple[str, ...] = ()
    few_directions: bool = False
    unmatched: tuple[str, ...] = ()
    other_modalities: int = 0


def read_weights(evidence: WeightEvidence, claim: str = "") -> WeightReading:
    """Classify. The order is from the most specific pattern to the least; ``unknown`` when too little was matched.

    ``claim`` is the rebuilt claim that matrices may be held against, by its name in the plan.
    """
    tensors = evidence.tensors
    changed = [t for t in tensors if not t.equal and not t.format_cast]
    matrices = [t for t in changed if t.matrix]
    gridded = [t for t in matrices if t.grid]
    problem = evidence.problem or _too_little(evidence)
    kind, examples = ("unknown", []) if problem else _kind(evidence, changed, matrices, gridded)
    grids = Counter(t.grid for t in gridded).most_common(1)
    errors = [t.relative_error for t in matrices if t.relative_error > 0]
    apart = [t.name for t in matrices if not _is_rounded(t, claim)]
    return WeightReading(
        kind=kind,
        tensors=len(tensors),
        equal=sum(t.equal for t in tensors),
        changed_matrices=len(matrices),
        on_grid=len(gridded),
        grid=grids[0][0] if grids else "",
        sqnr_db=float(-20 * np.log10(np.median(errors))) if errors else float("nan"),
        examples=tuple(t.name for t in examples[:4]),
        problem=problem,
        rounded=len(matrices) - len(apart),
        not_rounded=tuple(apart[:4]),
        few_directions=bool(matrices) and float(np.median([t.low_rank for t in matrices])) > _FEW_DIRECTIONS,
        unmatched=evidence.unmatched,
        other_modalities=evidence.other_modalities,
    )


def _too_little(evidence: WeightEvidence) -> str:
    """Why the matched tensors do not speak for the model, or an empty string."""
    if len(evidence.tensors) < 2:
        return "too few tensors have the same name and shape on both sides"
    lost, compared = evidence.unmatched_weights, evidence.compared_weights
    if not compared:  # evidence that does not count weights: by tensors
        return (
            "more tensors differ in name or shape than agree" if len(evidence.unmatched) > len(evidence.tensors) else ""
        )
    if lost > _MAY_BE_UNMATCHED * (lost + compared):
        names = ", ".join(evidence.unmatched[:3])
        return f"{lost / (lost + compared):.0%} of the weights have no counterpart of the same name and shape ({names}, ...)"
    return ""


def _is_rounded(tensor: TensorEvidence, claim: str) -> bool:
    """Whether a changed matrix is the reference's, rounded: as the claim does it, or to the nearest level of its own grid."""
    if 0 <= tensor.beside_claim.get(claim, -1.0) <= _REBUILT:
        return True
    return bool(tensor.grid) and tensor.nearest >= _NEAREST


def _inner(tensors: Sequence[TensorEvidence]) -> int:
    """Weights in matrices other than embedding and head: experts are few tensors and most of a model."""
    return sum(prod(t.shape) for t in tensors if t.matrix and not t.name.startswith("("))


def _kind(
    evidence: WeightEvidence,
    changed: list[TensorEvidence],
    matrices: list[TensorEvidence],
    gridded: list[TensorEvidence],
) -> tuple[Kind, list[TensorEvidence]]:
    tensors = evidence.tensors
    if not changed:
        return ("cast" if any(t.format_cast for t in tensors) else "equal"), []
    permuted = [t for t in changed if t.permuted]
    if permuted:
        return "permuted", permuted
    foreign = [t for t in matrices if not t.zeroed and t.scaled_error > _FOREIGN and t.signs < _RESCALED]
    if foreign and (len(foreign) >= sum(t.matrix for t in tensors) / 2 or _inner(foreign) >= _inner(tensors) / 2):
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
