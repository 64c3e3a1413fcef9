"""The fault library: one list of named faults that every tier of access diagnoses with."""

from __future__ import annotations

import difflib

from harness.errors import UnknownName
from harness.prompts.faults.framing import FRAMING
from harness.prompts.faults.model import Family, Fault, Request
from harness.prompts.faults.reasoning import REASONING
from harness.prompts.faults.roles import ROLES
from harness.prompts.faults.tokenization import TOKENIZATION
from harness.prompts.faults.tools import TOOLS

LIBRARY: tuple[Fault, ...] = FRAMING + ROLES + TOOLS + REASONING + TOKENIZATION


def fault(name: str) -> Fault:
    """A fault of the library by name; raises UnknownName with the closest one."""
    found = next((entry for entry in LIBRARY if entry.name == name), None)
    if found is None:
        near = difflib.get_close_matches(name, [entry.name for entry in LIBRARY], n=1)
        raise UnknownName(
            f"the library holds no fault called {name!r}", fix=f"did you mean {near[0]!r}?" if near else ""
        )
    return found


__all__ = ["LIBRARY", "Family", "Fault", "Request", "fault"]
