"""What the weights of a candidate look like beside the reference's, tensor by tensor: numbers only, no judgement."""

from __future__ import annotations

from pydantic import Field

from harness.suites.model import Frozen


class TensorEvidence(Frozen):
    """One tensor that both sides have.

    ``relative_error`` is ||candidate - reference|| / ||reference||; ``scale`` the factor that brings the reference
    closest to the candidate and ``scaled_error`` what remains then. ``format_cast`` names the number format whose
    rounding alone turns the reference into the candidate. ``grid`` names a grid that the candidate's values lie on
    and the reference's do not. ``permuted`` means the same rows in another order. ``beside_claim`` is the distance to
    what a claimed precision makes of the reference, in units of what that rounding moves, by the claim's name in the plan.
    ``signs`` is the share of weights that have the reference's sign: one half between strangers, nearly one where channels
    were rescaled. ``nearest`` is the share of weights on the level nearest to the reference's. ``low_rank`` says how many
    times more of the difference few directions hold than chance gives them; 0 on a grid.
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
    beside_claim: dict[str, float] = Field(default_factory=dict)
    signs: float = 0.5
    nearest: float = 1.0
    low_rank: float = 0.0


class WeightEvidence(Frozen):
    """All tensors of a comparison.

    ``unmatched`` names tensors of the text path that only one side has or whose shapes differ (the first few) and
    ``unmatched_weights`` counts the weights in all of them, ``compared_weights`` those that were compared.
    ``other_modalities`` counts tensors outside the text path that only one side has.
    """

    tensors: tuple[TensorEvidence, ...]
    unmatched: tuple[str, ...]
    problem: str = ""
    compared_weights: int = 0
    unmatched_weights: int = 0
    other_modalities: int = 0
