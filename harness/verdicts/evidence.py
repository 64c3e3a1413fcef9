"""Everything that was measured about one candidate: the input of the verdict, and the body of the scorecard."""

from __future__ import annotations

from harness.comparisons.bits_per_byte import BitsPerByte
from harness.comparisons.distributions.band import BandMember, BandReading
from harness.comparisons.distributions.scalar import ScalarFit
from harness.comparisons.distributions.worst import WorstItem
from harness.comparisons.model import CheckResult, Difference, Result, Slice
from harness.comparisons.prompts import PromptReading
from harness.comparisons.weights import WeightReading
from harness.verdicts.gates.reading import PolicyReading
from harness.verdicts.model import Finding
from harness.verdicts.tokens_in import JudgedPrompts


class LadderReading(Result):
    """The candidate on the ladder of round-to-nearest copies of the reference."""

    bits: float
    low: float
    high: float
    rungs: tuple[tuple[float, float], ...]  # bits, mean KL
    value: float  # the candidate's mean KL on the ladder's items
    note: str


class CandidateEvidence(Result):
    """One candidate under one claim."""

    label: str
    spec: str
    claim: str
    claim_source: str
    claim_problem: str
    declared_quantization: bool
    declared: str = ""  # the precision that the candidate itself declares, as a claim
    differences: tuple[Difference, ...]
    prompts: PromptReading
    weights: WeightReading
    checks: tuple[CheckResult, ...]
    slices: tuple[Slice, ...]
    scalar: ScalarFit | None
    band: BandReading | None
    honest: tuple[BandMember, ...]
    ladder: LadderReading | None
    policy: PolicyReading | None
    worst: tuple[WorstItem, ...]
    histogram: tuple[tuple[float, int], ...]  # lower edge of log10 KL, tokens
    tokens: int
    documents: int
    non_finite: int
    violations: int
    violated_mass: float
    padded_mass: float
    all_zero: bool
    bits_per_byte: BitsPerByte | None = None  # where the vocabularies differ
    tokens_in: JudgedPrompts | None = None  # where template, tokenizer or stops are not the reference's files
    unscored: str = ""  # why no distribution was measured
    longest: int = 0  # tokens of the longest item that was scored
    stated: tuple[Finding, ...] = ()  # what of the candidate's files was not used or not applied

    def check(self, key: str) -> CheckResult | None:
        """A check by key."""
        return next((check for check in self.checks if check.key == key), None)
