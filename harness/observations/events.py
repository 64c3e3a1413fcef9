"""What happens during a run, as values; displays and logs consume them, the run does not know who listens."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StageStarted:
    """A stage of the run begins; ``detail`` is one line for people."""

    stage: str
    detail: str


@dataclass(frozen=True, slots=True)
class PlanReady:
    """The plan is frozen: how many tokens of how many documents will be scored for how many targets."""

    run: str
    targets: int
    tokens: int
    documents: int
    passes: int  # scored tokens over all targets, the reference included
    resumed: bool
    unit: str = "tokens"  # or requests
    whole: str = "documents"  # or items: what units belong to


@dataclass(frozen=True, slots=True)
class TargetStarted:
    """A target is about to be loaded and scored."""

    label: str
    role: str
    tokens: int
    unit: str = "tokens"


@dataclass(frozen=True, slots=True)
class TokensScored:
    """Some more tokens of a target are in the journal."""

    label: str
    tokens: int


@dataclass(frozen=True, slots=True)
class TargetFinished:
    """Every observation of a target is in the journal. ``seconds`` excludes nothing."""

    label: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Noticed:
    """Something that the user should read now rather than in the report."""

    text: str


@dataclass(frozen=True, slots=True)
class Found:
    """A first fact about a target: measured, and not yet judged."""

    label: str
    text: str


Event = StageStarted | PlanReady | TargetStarted | TokensScored | TargetFinished | Noticed | Found


class Stop:
    """A flag that a signal handler may raise; a run looks at it between its steps."""

    def __init__(self) -> None:
        self.wanted = False
