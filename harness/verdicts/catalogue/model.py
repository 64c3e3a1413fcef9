"""What a finding's code stands for."""

from __future__ import annotations

from dataclasses import dataclass

from harness.verdicts.model import Cause, Severity


@dataclass(frozen=True, slots=True)
class Entry:
    """What a code means, how bad it is, what it points to and what to do about it."""

    title: str
    severity: Severity
    cause: Cause | None
    meaning: str
    fix: str
