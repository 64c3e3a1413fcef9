"""The fault library: one list of named faults that every tier of access diagnoses with."""

from __future__ import annotations

from harness.prompts.faults.framing import FRAMING
from harness.prompts.faults.model import Family, Fault, Request
from harness.prompts.faults.reasoning import REASONING
from harness.prompts.faults.roles import ROLES
from harness.prompts.faults.tokenization import TOKENIZATION
from harness.prompts.faults.tools import TOOLS

LIBRARY: tuple[Fault, ...] = FRAMING + ROLES + TOOLS + REASONING + TOKENIZATION


def fault(name: str) -> Fault:
    """A fault of the library by name."""
    return next(entry for entry in LIBRARY if entry.name == name)


__all__ = ["LIBRARY", "Family", "Fault", "Request", "fault"]
