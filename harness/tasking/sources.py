"""Who answers requests: a checkpoint in its isolated process, a host, or a record of what a host answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from harness.suites.requests import Answered, Asked, Called
from harness.targets.checkpoint.target import CheckpointTarget


class Source(Protocol):
    """A target that answers requests. ``ended`` says why it is not asked any further, ``notes`` what holds for all answers."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of its answers has to know."""
        ...

    @property
    def ended(self) -> str:
        """Why it is not asked any further; empty while it is."""
        ...

    def answer(self, asked: Sequence[Asked]) -> list[Answered]:
        """One answer per request, in their order; what cannot be answered is lost, with a reason."""
        ...


class LocalSource:
    """A checkpoint; ``shared`` computes openings once, ``rows`` run together."""

    notes: tuple[str, ...] = ()
    ended = ""

    def __init__(self, target: CheckpointTarget, rows: int, *, shared: bool, seed: int) -> None:
        self.target, self.rows, self.shared, self.seed = target, rows, shared, seed

    def answer(self, asked: Sequence[Asked]) -> list[Answered]:
        """Answers of the loaded model."""
        return self.target.answer(asked, self.rows, shared=self.shared, seed=self.seed)


class RecordedSource:
    """Answers that were recorded before."""

    ended = ""

    def __init__(self, answers: dict[str, Called], notes: tuple[str, ...]) -> None:
        self._answers, self.notes = answers, notes

    def answer(self, asked: Sequence[Asked]) -> list[Answered]:
        """What the record holds."""
        missing = Called(lost="the record holds no answer to this request")
        return [self._answers.get(one.key, missing) for one in asked]
