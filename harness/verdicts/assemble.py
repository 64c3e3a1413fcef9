"""Gather what was measured about one candidate under one claim into the evidence that the verdict reads. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness.comparisons.baselines import Baseline
from harness.comparisons.bits_per_byte import BitsPerByte
from harness.comparisons.distributions.band import BandMember, against_band, band_member
from harness.comparisons.distributions.metrics import headline, points, with_floors
from harness.comparisons.distributions.scalar import scalar_fit
from harness.comparisons.distributions.slices import all_slices
from harness.comparisons.distributions.worst import worst_items
from harness.comparisons.files import file_differences
from harness.comparisons.prompts import PromptReading
from harness.comparisons.table import TokenTable
from harness.comparisons.weights import read_weights
from harness.evidence.clustered import cluster_sums
from harness.evidence.ladder import equivalent_bits
from harness.targets.base import ModelIdentity
from harness.targets.weight_evidence import WeightEvidence
from harness.verdicts.evidence import CandidateEvidence, LadderReading
from harness.verdicts.file_findings import stated_findings
from harness.verdicts.gates.policy import Policy
from harness.verdicts.gates.reading import PolicyReading, Yard, read_policy
from harness.verdicts.tokens_in import JudgedPrompts


@dataclass(frozen=True, slots=True)
class Yardsticks:
    """What every candidate of a run is measured against."""

    reference: ModelIdentity
    honest: dict[str, TokenTable]  # by name; the claim's rebuild is added per candidate
    rungs: dict[float, TokenTable]  # by bits
    policy: Policy | None = None
    frozen: bool = True  # the policy was part of the plan
    baseline: Baseline | None = None
    _read: dict[str, tuple[TokenTable, BandMember, dict[str, float]]] = field(
        default_factory=dict, repr=False, compare=False
    )
    _own: dict[int, tuple[TokenTable, dict[str, Any]]] = field(default_factory=dict, repr=False, compare=False)

    def own_reading(self, table: TokenTable) -> dict[str, Any]:
        """What a candidate's rows say by themselves, read once however many claims are made for them."""
        known = self._own.get(id(table))
        if known is None or known[0] is not table:
            reading = {
                "checks": headline(table), "slices": tuple(all_slices(table)), "scalar": scalar_fit(table),
                "worst": tuple(worst_items(table)), "histogram": histogram(table.column("kl_ref_cand")),
            }  # fmt: skip
            known = self._own[id(table)] = (table, reading)
        return known[1]

    def honest_reading(self, name: str, table: TokenTable) -> tuple[BandMember, dict[str, float]]:
        """An honest configuration's own numbers, read once for all candidates of a run."""
        known = self._read.get(name)
        if known is None or known[0] is not table:
            known = self._read[name] = (table, band_member(name, table), points(table))
        return known[1], known[2]


@dataclass(frozen=True, slots=True)
class Measured:
    """What was stored about one candidate."""

    label: str
    spec: str
    claim: str
    claim_source: str
    claim_problem: str
    identity: ModelIdentity
    table: TokenTable | None
    rebuilt: TokenTable | None
    prompts: PromptReading
    weights: WeightEvidence
    unscored: str = ""
    bits_per_byte: BitsPerByte | None = None
    tokens_in: JudgedPrompts | None = None
    in_memory: bool = field(default=False)  # quantized by us at the user's request
    declared: str = ""  # the precision that the candidate itself declares, as a claim
    rebuilt_key: str = ""  # the rebuilt claim's name in the plan
    longest: int = 0  # tokens of the longest item that was scored
    unused: tuple[str, ...] = ()  # what of its files the loaded model does not use, in words


def assemble(measured: Measured, sticks: Yardsticks) -> CandidateEvidence:
    """Run every check on one candidate."""
    differences = tuple(file_differences(sticks.reference, measured.identity))
    honest = dict(sticks.honest)
    if measured.rebuilt is not None and measured.claim not in honest:
        honest[f"claimed {measured.claim}"] = measured.rebuilt
    readings = [sticks.honest_reading(name, member) for name, member in honest.items()]
    table = measured.table
    common = {
        "label": measured.label,
        "spec": measured.spec,
        "claim": measured.claim,
        "claim_source": measured.claim_source,
        "claim_problem": measured.claim_problem,
        "declared_quantization": bool(measured.identity.quantization) or measured.in_memory,
        "declared": measured.declared,
        "differences": differences,
        "prompts": measured.prompts,
        "weights": read_weights(measured.weights, measured.rebuilt_key),
        "longest": measured.longest,
        "tokens_in": measured.tokens_in,
        "honest": tuple(member for member, _ in readings),
        "unscored": measured.unscored,
        "stated": tuple(stated_findings(measured.identity, measured.unused)),
        "bits_per_byte": measured.bits_per_byte,
    }
    if table is None:
        return CandidateEvidence.model_validate(common | _NOTHING)
    own = sticks.own_reading(table)
    checks = with_floors(own["checks"], [floors for _, floors in readings])
    kl = table.column("kl_ref_cand")
    # A support violation makes the divergence infinite: it counts as a violation, and its mass is kept.
    return CandidateEvidence.model_validate(
        common
        | own
        | {
            "checks": tuple(checks),
            "band": against_band(table, honest),
            "ladder": _ladder(table, sticks.rungs),
            "policy": _policy(table, sticks),
            "tokens": len(table.rows),
            "documents": len(table.units),
            "non_finite": table.non_finite,
            "violations": table.violations,
            "violated_mass": float(np.nansum(table.rows["violated_mass"].astype(np.float64))),
            "padded_mass": float(np.nanmax(table.rows["padded_mass"], initial=0.0)),
            "all_zero": bool(np.nanmax(np.abs(kl), initial=0.0) == 0.0)
            and not table.non_finite
            and not table.violations,
        }
    )


_NOTHING: dict[str, object] = {
    "checks": (), "slices": (), "scalar": None, "band": None, "ladder": None, "policy": None, "worst": (),
    "histogram": (), "tokens": 0, "documents": 0, "non_finite": 0, "violations": 0, "violated_mass": 0.0,
    "padded_mass": 0.0, "all_zero": False,
}  # fmt: skip


def histogram(values: np.ndarray) -> tuple[tuple[float, int], ...]:  # type: ignore[type-arg]
    """Counts of log10 of a positive quantity in quarter decades; exact zeros are not counted."""
    positive = values[np.isfinite(values) & (values > 0)]
    if not len(positive):
        return ()
    bins = np.floor(np.log10(positive) * 4).astype(int).clip(-48, 8)
    found, counts = np.unique(bins, return_counts=True)
    return tuple((float(edge) / 4, int(count)) for edge, count in zip(found, counts, strict=True))


def _policy(table: TokenTable, sticks: Yardsticks) -> PolicyReading | None:
    if sticks.policy is None:
        return None
    # The reference's own honest configurations: a rebuilt 4-bit claim would make any 4-bit copy 'lossless'.
    yard = Yard(table, sticks.honest, sticks.rungs, sticks.baseline)
    return read_policy(sticks.policy, yard, frozen=sticks.frozen)


def _ladder(table: TokenTable, rungs: dict[float, TokenTable]) -> LadderReading | None:
    if not rungs:
        return None
    keys = set.intersection(*({s.key for s in one.sequences} for one in (table, *rungs.values())))
    if not keys:
        return None
    ours_all = table.restrict(keys)
    columns = {bits: rung.restrict(keys).column("kl_ref_cand") for bits, rung in rungs.items()}
    own = ours_all.column("kl_ref_cand")
    shared = np.isfinite(np.stack([own, *columns.values()])).all(0)  # the same tokens on every rung
    clusters = ours_all.cluster[shared]
    if len(np.unique(clusters)) < 2:
        return None
    ours = cluster_sums(own[shared], clusters)
    steps = {bits: cluster_sums(column[shared], clusters) for bits, column in columns.items()}
    reading = equivalent_bits(ours.total, {bits: sums.total for bits, sums in steps.items()}, ours.count)
    return LadderReading(
        bits=reading.value,
        low=reading.low,
        high=reading.high,
        rungs=tuple((bits, steps[bits].mean) for bits in sorted(steps)),
        value=ours.mean,
        note=reading.note,
    )
