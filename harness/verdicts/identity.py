"""The identity axis of a comparison of weights: are they the claimed model's? Function is judged before names.

Null: the candidate is the reference, rounded as it claims. What is WITHIN in its distribution is never another model, however
its weights are written. Weights on a grid are cleared if they are the reference's, each on the level nearest to it or where the
rebuilt claim puts it; otherwise an edit may hide in the rounding, and the axis says that it does not know.
"""

from __future__ import annotations

from harness.verdicts.attribution import explained_by_grid
from harness.verdicts.evidence import CandidateEvidence
from harness.verdicts.model import AxisVerdict, Cause, Outcome

#: Ways of rounding that feed errors back or learn them: their weights lie on other levels than the nearest, on purpose.
_FEEDS_BACK = ("gptq", "auto-round", "autoround", "awq", "compressed-tensors", "int", "nvfp4", "mxfp4")


def judge_identity(evidence: CandidateEvidence, displacement: AxisVerdict, *, same: bool) -> AxisVerdict:
    """Judged by the weights themselves, after the distribution was; ``same``: it is that of the claim."""
    weights = evidence.weights
    size = f"median signal-to-noise ratio {weights.sqnr_db:.1f} dB"
    rest = _not_compared(evidence)
    if weights.kind == "equal":
        return _axis(Outcome.WITHIN, f"All {weights.tensors} tensors are the reference's.{rest}")
    if weights.kind == "cast":
        reason = f"All {weights.tensors} tensors are the reference's, rounded to another number format.{rest}"
        return _axis(Outcome.WITHIN, reason)
    if weights.kind == "unknown":
        return _axis(Outcome.NOT_RUN, f"The weights cannot be compared: {weights.problem or 'nothing was read'}.")
    if weights.kind == "grid":
        return _on_grid(evidence, displacement, f"{size}){rest}")
    kept = {
        "scaled": "The weights are the reference's, some of them times a constant.",
        "damaged": f"The weights are the reference's but for a few damaged ones ({', '.join(weights.examples[:2])}).",
        "permuted": "The weights are the reference's, with embedding rows in another order.",
    }
    harmless = same or (weights.kind == "moved" and displacement.outcome is Outcome.WITHIN)
    if harmless and weights.kind in {"unrelated", "moved", "damaged"}:
        reason = (
            f"The weights are written in another form than the reference's ({size}) and compute the same: no effect beyond "
            f"the bound.{rest}"
        )
        return _axis(Outcome.WITHIN, reason)
    if weights.kind in kept:
        return _axis(Outcome.WITHIN, kept[weights.kind] + rest)
    undecided = displacement.outcome is Outcome.INCONCLUSIVE or weights.kind == "moved"
    if (displacement.outcome is not Outcome.BEYOND and undecided) or _by_rounding(evidence, displacement):
        reason = f"The weights differ in a way that no grid known here explains ({size}); whether it matters was not decided."
        if displacement.outcome is Outcome.BEYOND:
            reason = f"The weights are rounded, and not the reference's as they are written here ({size})."
        return _axis(Outcome.INCONCLUSIVE, reason)
    if weights.kind == "moved" and not weights.few_directions:
        reason = f"The weights differ on no grid that is known here ({size}), without the few directions that training leaves."
        return _axis(Outcome.INCONCLUSIVE, reason)
    how = "moved by training, merging or editing" if weights.kind == "moved" else "those of another model"
    return _axis(Outcome.BEYOND, f"The weights are {how}: {size}, on no grid.", Cause.OTHER_MODEL)


def _on_grid(evidence: CandidateEvidence, displacement: AxisVerdict, size: str) -> AxisVerdict:
    weights = evidence.weights
    if not weights.not_rounded:
        reason = f"The weights are the reference's, each rounded to the grid '{weights.grid}' ({size}."
        return _axis(Outcome.WITHIN, reason)
    if displacement.outcome is Outcome.WITHIN and _is_the_claim(evidence):
        reason = f"The weights compute exactly what the rebuilt claim {evidence.claim} computes ({size}."
        return _axis(Outcome.WITHIN, reason)
    apart = weights.changed_matrices - weights.rounded
    told = (
        f"{apart} of {weights.changed_matrices} changed matrices lie on the grid '{weights.grid}' or near it, and not where "
        f"rounding the reference's puts them ({', '.join(weights.not_rounded[:2])}; {size}"
    )
    band = evidence.band
    beside = band is not None and band.member == f"claimed {evidence.claim}"
    if (
        displacement.outcome is Outcome.WITHIN
        and beside
        and band is not None
        and band.low <= 1.0
        and _feeds_back(evidence)
    ):
        reason = (
            f"{told}: as rounding does that feeds its errors back, or weighs them. They are no further from the reference than "
            f"the claim that was rebuilt (at most {band.high:.2f} times), so that an edit of that size could hide."
        )
        return _axis(Outcome.WITHIN, reason)
    reason = (
        f"{told}: rounding alone does not explain them; they may have been edited before, or rounded in another way."
    )
    return _axis(Outcome.INCONCLUSIVE, reason)


def _is_the_claim(evidence: CandidateEvidence) -> bool:
    """Whether not one document tells the candidate from what was rebuilt of its claim: no edit hides there."""
    band = evidence.band
    return band is not None and band.member == f"claimed {evidence.claim}" and band.low == band.high == 1.0


def _by_rounding(evidence: CandidateEvidence, displacement: AxisVerdict) -> bool:
    """Whether the distance is that of a quantization, wherever the weights lie."""
    return displacement.cause is Cause.QUANTIZATION or explained_by_grid(evidence)


def _feeds_back(evidence: CandidateEvidence) -> bool:
    """Whether the claimed precision is made by methods that do not round to nearest, or search scales by importance."""
    if evidence.claim.startswith("gguf:"):
        return evidence.claim != "gguf:Q8_0"  # of all types the one that an importance matrix does not move
    return evidence.claim.startswith(_FEEDS_BACK) and evidence.claim != "int8"


def _not_compared(evidence: CandidateEvidence) -> str:
    weights = evidence.weights
    told = f" Not compared: {', '.join(weights.unmatched[:4])}." if weights.unmatched else ""
    if weights.other_modalities:
        told += (
            f" {weights.other_modalities} tensors outside the text path stand on one side alone and were not compared."
        )
    return told


def _axis(outcome: Outcome, reason: str, cause: Cause | None = None) -> AxisVerdict:
    return AxisVerdict(axis="identity", outcome=outcome, cause=cause, reason=reason)
