"""Verdicts, findings and causes: the closed vocabulary of every report."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from harness.comparisons.model import Result


class Outcome(StrEnum):
    """What a verdict can be."""

    WITHIN = "WITHIN"
    BEYOND = "BEYOND"
    INCONCLUSIVE = "INCONCLUSIVE"
    NOT_TESTABLE = "NOT_TESTABLE"
    NOT_RUN = "NOT_RUN"


class Cause(StrEnum):
    """What can lie behind a difference."""

    INFRASTRUCTURE = "infrastructure"
    PROTOCOL = "protocol"
    SAMPLING = "sampling"
    TOKENIZER = "tokenizer"
    TEMPLATE = "template"
    PARSER = "parser"
    CLIPPING = "clipping"
    QUANTIZATION = "quantization"
    KV_CACHE = "kv-cache"
    NUMERICS = "numerics"
    OTHER_MODEL = "other-model"
    MIXTURE = "mixture"
    UNLISTED = "unlisted"


Axis = Literal["identity", "displacement", "texts", "harm", "integrity"]  # texts: displacement of what a host was shown
Severity = Literal["S0", "S1", "S2", "S3", "S4"]


class Finding(Result):
    """A coded fact with what was seen on both sides; the catalogue holds title, severity, cause and fix."""

    code: str
    detail: str


class AxisVerdict(Result):
    """The verdict on one axis and the sentence that carries it."""

    axis: Axis
    outcome: Outcome
    cause: Cause | None = None
    reason: str


class Verdict(Result):
    """The verdict on one candidate: its axes, the worst of them, and the lowest layer's cause."""

    outcome: Outcome
    cause: Cause | None
    sentence: str
    overturn: str  # what evidence would change it
    axes: tuple[AxisVerdict, ...]


_WORST = (Outcome.BEYOND, Outcome.INCONCLUSIVE, Outcome.NOT_TESTABLE, Outcome.WITHIN)
_EXIT = {Outcome.WITHIN: 0, Outcome.BEYOND: 1, Outcome.INCONCLUSIVE: 3, Outcome.NOT_TESTABLE: 3, Outcome.NOT_RUN: 3}


def worst(outcomes: list[Outcome]) -> Outcome:
    """The worst of several outcomes; NOT_RUN does not count, and nothing at all is NOT_TESTABLE."""
    return next((outcome for outcome in _WORST if outcome in outcomes), Outcome.NOT_TESTABLE)


def exit_code(outcome: Outcome) -> int:
    """The one place that turns an outcome into an exit code."""
    return _EXIT[outcome]
