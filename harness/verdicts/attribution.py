"""Which cause explains a displacement best. The order runs from the most specific evidence to the least.

Quantization is named only on positive evidence (a grid in the weights, or a declaration), never because nothing else
was found: "unlisted" is the honest name for that.
"""

from __future__ import annotations

import re

from harness.verdicts.evidence import CandidateEvidence
from harness.verdicts.model import Cause, Finding

SCALAR_SHARE = 0.5


def distribution_findings(evidence: CandidateEvidence) -> list[Finding]:
    """Findings of weights and distributions."""
    found = []
    weights = evidence.weights
    names = ", ".join(weights.examples)
    size = f"median SQNR {weights.sqnr_db:.1f} dB over {weights.changed_matrices} changed matrices"
    if weights.kind == "permuted":
        found.append(Finding(code="TOKN103", detail=names))
    elif weights.kind == "damaged":
        found.append(Finding(code="FILE202", detail=names))
    elif weights.kind == "scaled":
        found.append(Finding(code="FILE203", detail=names))
    elif weights.kind == "grid":
        share = f"{weights.on_grid} of {weights.changed_matrices} changed matrices"
        found.append(Finding(code="FILE201", detail=f"{share} on the grid '{weights.grid}', {size}"))
    elif weights.kind == "moved":
        found.append(Finding(code="REPL401", detail=f"{size}; for example {names}"))
    elif weights.kind == "unrelated":
        found.append(Finding(code="REPL402", detail=size))
    if evidence.violations:
        detail = f"{evidence.violations} of {evidence.tokens} tokens, {evidence.violated_mass:.2e} of the mass"
        found.append(Finding(code="DIST303", detail=detail))
    if evidence.non_finite:
        found.append(Finding(code="DIST304", detail=f"{evidence.non_finite} of {evidence.tokens} tokens"))
    if evidence.all_zero:
        found.append(Finding(code="DIST302", detail=f"{evidence.tokens} tokens, every divergence exactly 0"))
    if scalar_explains(evidence) and evidence.scalar:
        fit = evidence.scalar
        detail = f"{fit.what} removes {fit.share:.0%} of the KL (95 % interval {fit.low:.0%} to {fit.high:.0%})"
        found.append(Finding(code="DIST305", detail=detail))
    if evidence.padded_mass > 1e-6:
        found.append(Finding(code="DIST306", detail=f"up to {evidence.padded_mass:.1e} on one token"))
    return found


def scalar_explains(evidence: CandidateEvidence) -> bool:
    """Whether one temperature removes over half of the divergence, with confidence, and there is one to remove."""
    kl = evidence.check("kl_ref_cand")
    material = kl is not None and evidence.band is not None and evidence.band.fail_low > 2
    return material and evidence.scalar is not None and evidence.scalar.low > SCALAR_SHARE


def explained_by_grid(evidence: CandidateEvidence) -> bool:
    """Whether the distance is what the bits of the grid give, wherever the weights lie: at most a few times that rung's.

    False where no ladder was measured.
    """
    bits = re.match(r"(\d)-bit", evidence.weights.grid)
    rungs = dict(evidence.ladder.rungs) if evidence.ladder else {}
    if not bits or not rungs or not evidence.ladder:
        return False
    at_most = [kl for width, kl in rungs.items() if width <= float(bits[1])]
    return bool(at_most) and evidence.ladder.value <= _LIKE_ITS_RUNG * min(at_most)


def holds_fewer_bits(evidence: CandidateEvidence) -> bool:
    """Whether a claim of plain floats is broken by what is stored: nearly every changed matrix lies on a coarse grid.

    Weights are read, not sampled: this needs no distribution. The reference is on no such grid there, or they would be equal.
    """
    weights = evidence.weights
    if evidence.claim not in _PLAIN or weights.kind != "grid":
        return False
    return weights.on_grid >= _NEARLY_ALL * max(weights.changed_matrices, 1)


_PLAIN = {"bf16", "fp16", "fp32"}
_NEARLY_ALL = 0.9
#: Grids of the same bits differ in group, symmetry and rounding by about this factor in KL.
_LIKE_ITS_RUNG = 3.0
#: Signal-to-noise ratio per declared bit below which declared rounding alone does not make a difference.
_DB_PER_BIT = 3.0

_CHARGES = {"FILE202", "FILE203", "REPL401", "REPL402", "TOKN103"}


def without_charges(findings: list[Finding]) -> list[Finding]:
    """Findings of a candidate whose distribution is within its claim: how its weights are written is told as a fact."""
    told = [finding for finding in findings if finding.code in _CHARGES]
    kept = [finding for finding in findings if finding.code not in _CHARGES]
    return [*kept, Finding(code="FILE204", detail=told[0].detail)] if told else kept


def cause_of(evidence: CandidateEvidence, findings: list[Finding]) -> tuple[Cause, str]:
    """The cause of a displacement beyond the claim, and the sentence that names the evidence."""
    codes = {finding.code for finding in findings}
    weights = evidence.weights
    if codes & {"DIST303", "DIST304"}:
        return Cause.NUMERICS, "logits are impossible or not finite"
    if "TOKN103" in codes:
        return Cause.TOKENIZER, "the embedding holds the reference's rows in another order"
    if "FILE202" in codes:
        return Cause.NUMERICS, f"a few weights are damaged ({', '.join(weights.examples[:2])})"
    if explained_by_grid(evidence):
        return (
            Cause.QUANTIZATION,
            f"the weights lie on a coarser grid ({weights.grid}), and the distance is what its bits give",
        )
    fields = [d.field for d in evidence.differences if _computes(d.field)]
    if fields:
        return Cause.NUMERICS, f"the configuration computes something else ({', '.join(fields[:3])})"
    if codes & {"FILE203", "DIST305"}:
        return Cause.NUMERICS, "one scale factor explains most of the divergence"
    if "REPL402" in codes:
        return Cause.OTHER_MODEL, "most weights share next to nothing with the reference's"
    if "FILE201" in codes:
        return Cause.QUANTIZATION, f"the weights lie on a coarser grid ({weights.grid})"
    if evidence.declared_quantization and (weights.kind == "unknown" or _as_declared(evidence)):
        return Cause.QUANTIZATION, "the files declare a quantization, and no other cause was found"
    if "REPL401" in codes and weights.few_directions:
        return (
            Cause.OTHER_MODEL,
            "the weights were moved in few directions, as training or merging does and rounding does not",
        )
    return Cause.UNLISTED, "no listed cause explains it"


def _computes(field: str) -> bool:
    """Whether a differing field of the files enters the computation."""
    return field == "architecture" or (
        field.startswith("config.") and field not in {"config.vocab_size", "config.tie_word_embeddings"}
    )


def _as_declared(evidence: CandidateEvidence) -> bool:
    """Whether weights moved no further than the bits that the files declare may move them."""
    digits = re.search(r"\d+", evidence.declared)
    if not digits or evidence.weights.kind != "moved":
        return False
    return evidence.weights.sqnr_db >= _DB_PER_BIT * int(digits[0])
