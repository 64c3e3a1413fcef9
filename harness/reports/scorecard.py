"""The scorecard: the versioned JSON that every renderer reads and nobody else writes."""

from __future__ import annotations

from pydantic import JsonValue

from harness.comparisons.model import Result
from harness.comparisons.pairs import Ranking
from harness.targets.base import ModelIdentity
from harness.verdicts.evidence import CandidateEvidence
from harness.verdicts.model import Finding, Outcome, Verdict, exit_code, worst

SCORECARD_VERSION = 1


class SuiteFacts(Result):
    """What was asked, and what it can and cannot show."""

    name: str
    version: int
    digest: str
    profile: str
    title: str
    licence: str
    shows: tuple[str, ...]
    cannot_show: tuple[str, ...]
    tokens: int
    documents: int


class CandidateCard(Result):
    """One candidate: who it is, what was measured, what it means."""

    identity: ModelIdentity
    evidence: CandidateEvidence
    verdict: Verdict
    findings: tuple[Finding, ...]


class Scorecard(Result):
    """A finished comparison. ``pieces`` maps the ids that the report shows to their text."""

    scorecard_version: int
    fidelity_version: str
    run: str
    created: str
    command: str
    plan: str
    partial: str  # how far an unfinished run came; empty for a finished one
    software: dict[str, str]
    isolation: dict[str, JsonValue]
    estimator: str
    suite: SuiteFacts
    reference: ModelIdentity
    candidates: tuple[CandidateCard, ...]
    ranking: Ranking | None  # of several candidates, by paired differences
    outcome: Outcome
    exit_code: int
    pieces: dict[str, str]
    left_out: tuple[str, ...] = ()  # what was planned and could not be had, with the reason


def overall(cards: list[CandidateCard]) -> tuple[Outcome, int]:
    """The worst outcome over all candidates, and the exit code that goes with it."""
    outcome = worst([card.verdict.outcome for card in cards])
    return outcome, exit_code(outcome)


def verdict_line(outcome: Outcome, cause: str, code: int, report: str) -> str:
    """The last line on standard output: ``VERDICT: BEYOND cause=quantization exit=1 report=...``."""
    parts = [f"VERDICT: {outcome}", f"cause={cause}" if cause else "", f"exit={code}", f"report={report}"]
    return " ".join(part for part in parts if part)
