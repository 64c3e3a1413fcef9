"""Who answers requests of tasks: a checkpoint in its isolated process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from harness.suites.requests import Answered, Asked
from harness.targets.checkpoint.target import CheckpointTarget


class Source(Protocol):
    """A target that answers requests."""

    rows: int

    def answer(self, asked: Sequence[Asked]) -> list[Answered]:
        """One answer per request, in their order; what cannot be answered is lost, with a reason."""
        ...


class LocalSource:
    """A checkpoint; ``shared`` computes openings once, ``rows`` run together."""

    def __init__(self, target: CheckpointTarget, rows: int, *, shared: bool, seed: int) -> None:
        self.target, self.rows, self.shared, self.seed = target, rows, shared, seed

    def answer(self, asked: Sequence[Asked]) -> list[Answered]:
        """Answers of the loaded model."""
        return self.target.answer(asked, self.rows, shared=self.shared, seed=self.seed)
