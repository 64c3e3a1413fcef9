"""What the weights of a candidate look like beside the reference's, tensor by tensor: numbers only, no judgement."""

from __future__ import annotations

from harness.suites.model import Frozen


class TensorEvidence(Frozen):
    """One tensor that both sides have.

    ``relative_error`` is ||candidate - reference|| / ||reference||; ``scale`` the factor that brings the reference
    closest to the candidate and ``scaled_error`` what remains then. ``format_cast`` names the number format whose
    rounding alone turns the reference into the candidate. ``grid`` names a grid that the candidate's values lie on
    and the reference's do not. ``permuted`` means the same rows in another order.
    """

    name: str
    shape: tuple[int, ...]
    matrix: bool
    equal: bool
    zeroed: bool
    relative_error: float
    scale: float
    scaled_error: float
    format_cast: str = ""
    grid: str = ""
    distinct_reference: float = 0.0
    distinct_candidate: float = 0.0
    permuted: bool = False


class WeightEvidence(Frozen):
    """All tensors of a comparison; ``unmatched`` names tensors that only one side has or whose shapes differ."""

    tensors: tuple[TensorEvidence, ...]
    unmatched: tuple[str, ...]
    problem: str = ""
