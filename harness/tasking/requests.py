"""What a user can ask of a run, and what is refused before anybody is asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from harness.errors import UsageError
from harness.targets.endpoint.address import is_address
from harness.targets.endpoint.budget import Caps
from harness.targets.spec import Runtime
from harness.tasking.tool_suite import LIMIT
from harness.verdicts.tasks import MARGIN

#: Loss of tool calls that is taken for none: the shipped cases are too few to tell a smaller one from nothing.
TOOL_MARGIN = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What can be asked of every run: whom, how surely, how gently. ``key`` names the variable with the candidates' key."""

    reference: str
    candidates: tuple[str, ...]
    control: bool = True
    alpha: float = 0.01
    margin: float = MARGIN
    seed: int = 20261126
    fresh: bool = False
    key: str = ""
    concurrency: int = 4
    caps: Caps = field(default_factory=Caps)
    runtime: Runtime = field(default_factory=Runtime)

    def check(self) -> None:
        """Raise UsageError for what makes no sense."""
        if not 0 < self.alpha < 0.5 or not 0 < self.margin < 1:
            raise UsageError(
                "--alpha lies between 0 and 0.5, --margin between 0 and 1", fix="--alpha 0.01 --margin 0.02"
            )
        origins = {urlsplit(one).netloc for one in self.candidates if is_address(one)}
        if self.key and len(origins) > 1:
            raise UsageError(
                "one key would be sent to several hosts", where=", ".join(sorted(origins)),
                fix="ask them in commands of their own, each with its --api-key-env",
            )  # fmt: skip
        if self.concurrency < 1:
            raise UsageError("--concurrency is a number of requests", fix="--concurrency 4")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRequest(RunRequest):
    """A run of lm-eval's tasks; ``chat`` None: as conversations if the reference has a template."""

    tasks: tuple[str, ...] = ("fidelity",)
    limit: int = 0
    chat: bool | None = None

    def check(self) -> None:
        """Raise UsageError for what makes no sense."""
        RunRequest.check(self)
        if not self.candidates:
            raise UsageError("nothing to compare: no candidate is given", fix="fidelity tasks REFERENCE CANDIDATE")
        if self.limit < 0:
            raise UsageError("--limit is a number of items", fix="fidelity tasks takes --limit 20, or 0 for all")
        if is_address(self.reference):
            raise UsageError(
                "the reference of tasks is a checkpoint: its tokenizer cuts what is scored", where=self.reference,
                fix="give the reference's folder; fidelity tools takes endpoints as reference, too",
            )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolRequest(RunRequest):
    """A run of tool calls; ``cases`` None takes the shipped ones, ``record`` is where the reference's answers are written.

    ``reference_key`` names the variable with the reference's key, where it is an endpoint.
    """

    margin: float = TOOL_MARGIN
    cases: Path | None = None
    max_tokens: int = LIMIT
    record: Path | None = None
    reference_key: str = ""

    def check(self) -> None:
        """Raise UsageError for what makes no sense."""
        RunRequest.check(self)
        if not self.candidates and not self.record:
            raise UsageError(
                "nothing to compare: no candidate is given",
                fix="fidelity tools REFERENCE CANDIDATE, or fidelity tools REFERENCE --record FILE",
            )
        if self.record and not self.record.parent.is_dir():
            raise UsageError(
                "there is no such folder for the record", where=str(self.record.parent), fix="make it first"
            )
        if self.max_tokens < 1:
            raise UsageError("--max-tokens is a number of tokens", fix=f"fidelity tools takes --max-tokens {LIMIT}")
