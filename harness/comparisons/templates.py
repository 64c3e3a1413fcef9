"""Two sides' renderings of the template suite, case by case: the same ids, the same text, or what differs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import JsonValue

from harness.comparisons.model import Result

Status = Literal[
    "identical",
    "same ids",
    "documented",
    "whitespace",
    "differs",
    "only one side renders",
    "refused by the host",
    "not applicable",
]


def is_plain(request: Mapping[str, Any]) -> bool:
    """Whether a request is one that no engine rewrites: texts of system, user and assistant in their usual order.

    Engines prepare everything else (tools, calls, parts, nulls, reasoning, other roles) by rules of their own before any
    template sees it. What differs on plain requests is therefore never an engine's habit.
    """
    messages = [message for message in request.get("messages") or () if isinstance(message, dict)]
    bare = all(set(m) == {"role", "content"} and isinstance(m["content"], str) for m in messages)
    roles = [str(message.get("role")) for message in messages]
    turns = roles[1:] if roles[:1] == ["system"] else roles
    usual = bool(turns) and all(role == ("user", "assistant")[k % 2] for k, role in enumerate(turns))
    return bare and usual and turns[-1] == "user" and not request.get("tools") and not request.get("options")


class PromptPair(Result):
    """What two sides made of one conversation. Texts are None where a side did not render it, ids where not encoded."""

    case: str
    number: int  # of the conversation within its case
    request: dict[str, JsonValue]
    reference: str | None
    candidate: str | None
    reference_problem: str = ""
    candidate_problem: str = ""
    reference_ids: tuple[int, ...] | None = None
    candidate_ids: tuple[int, ...] | None = None
    documented: bool = False  # the candidate's engine deviates here on purpose, and in nothing else

    @property
    def refused(self) -> bool:
        """Whether a host would not make the prompt: nothing was observed, so nothing can be held against it."""
        return self.candidate is None and self.candidate_problem.startswith("refused: by the host")

    @property
    def status(self) -> Status:
        """How the two compare; ids decide where both were encoded, because a model sees nothing else."""
        if self.reference is None and self.candidate is None:
            return "not applicable"
        if self.documented:
            return "documented"
        if self.refused:
            return "refused by the host"
        if self.reference is None or self.candidate is None:
            return "only one side renders"
        both = self.reference_ids is not None and self.candidate_ids is not None
        if both and self.reference_ids == self.candidate_ids:
            return "identical" if self.reference == self.candidate else "same ids"
        if self.reference == self.candidate:
            return "differs" if both else "identical"
        return "whitespace" if self.reference.split() == self.candidate.split() else "differs"

    @property
    def equal(self) -> bool:
        """Whether no fault shows here: the same prompt, a documented other one, or none to compare."""
        return self.status in {"identical", "same ids", "documented", "refused by the host", "not applicable"}

    def window(self, around: int = 48) -> tuple[str, str]:
        """The texts of both sides around the first difference."""
        a, b = self.reference or self.reference_problem, self.candidate or self.candidate_problem
        at = next((k for k, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
        return a[max(at - around, 0) : at + around], b[max(at - around, 0) : at + around]

    def ids_window(self, before: int = 3, after: int = 6) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The ids of both sides around the first difference, empty without ids."""
        a, b = self.reference_ids or (), self.candidate_ids or ()
        at = next((k for k, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
        return a[max(at - before, 0) : at + after], b[max(at - before, 0) : at + after]


class GoldenDifference(Result):
    """A plain text that both tokenizers turn into other ids."""

    text: str
    reference: tuple[int, ...]
    candidate: tuple[int, ...]
