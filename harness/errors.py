"""Everything that can go wrong, as one tree; every class knows its exit code.

FidelityError                      exit 2 unless a class says otherwise
  UsageError                  2    the command line or a configuration is wrong
    BadSpec                   2    a target specification cannot be read
    UnknownName               2    no suite, run, profile or format of that name
    MissingExtra              2    an optional dependency is not installed
  TargetRefused               4    a target exists but may not or cannot be used
    TargetNotFound            4    nothing at that path
    UnsafeCheckpoint          4    pickle weights, remote code, oversized headers
    BrokenCheckpoint          4    truncated, non-finite or incomplete weights
    IncompatibleCandidate     4    the two sides cannot be compared token by token
    NoChatTemplate            4    chat items asked of a model that has no template
    EndpointUnreachable       4    no answer from a host within the limits
    EndpointRefused           4    a host answers, but not so that it can be used
    BudgetSpent               4    a cap on requests, tokens, money or time is reached
  WorkerDied                  4    the isolated process of a checkpoint ended early
  StorageError                4    a folder is not writable, or the disk is full
  StoredRunError              2    a stored run is damaged or of another version
    BaselineMismatch          2    a baseline is damaged, or of another suite, reference or tokenizer
  NumericsError               4    a quantity left its mathematical range
  Interrupted               130    the user stopped the run; the journal is intact

Every error carries what happened (``problem``), ``where``, and what to do next (``fix``).
"""

from __future__ import annotations


class FidelityError(Exception):
    """Base of all errors raised on purpose; rendered without a traceback."""

    exit_code = 2

    def __init__(self, problem: str, *, where: str = "", fix: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.where = where
        self.fix = fix

    def __str__(self) -> str:
        lines = [self.problem]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.fix:
            lines.append(f"  fix:   {self.fix}")
        return "\n".join(lines)


class UsageError(FidelityError):
    """The command line or a configuration value is wrong."""


class BadSpec(UsageError):
    """A target specification cannot be read."""


class UnknownName(UsageError):
    """A suite, run, profile or format of that name does not exist."""


class MissingExtra(UsageError):
    """An optional dependency is not installed."""


class TargetRefused(FidelityError):
    """A target exists but may not or cannot be used."""

    exit_code = 4


class TargetNotFound(TargetRefused):
    """There is nothing at the given path."""


class UnsafeCheckpoint(TargetRefused):
    """The checkpoint would run code or exhaust memory when it is opened."""


class BrokenCheckpoint(TargetRefused):
    """The checkpoint is truncated, incomplete or holds non-finite weights."""


class IncompatibleCandidate(TargetRefused):
    """Reference and candidate cannot be compared token by token."""


class NoChatTemplate(TargetRefused):
    """Chat items were asked of a model that ships no chat template."""


class EndpointUnreachable(TargetRefused):
    """A host gave no answer within its limits of time and attempts."""


class EndpointRefused(TargetRefused):
    """A host answers, but refuses the key or sends what cannot be taken in."""


class BudgetSpent(TargetRefused):
    """A cap on requests, tokens, money or time would be passed."""


class WorkerDied(TargetRefused):
    """The isolated process that holds a checkpoint ended before it answered."""


class StorageError(FidelityError):
    """A folder is not writable, or the disk is full."""

    exit_code = 4


class StoredRunError(FidelityError):
    """A stored run is damaged, incomplete or was written by another version."""


class BaselineMismatch(StoredRunError):
    """A baseline is damaged, or answers another question than the run."""


class NumericsError(FidelityError):
    """A quantity left its mathematical range, so no number of this run can be trusted."""

    exit_code = 4


class Interrupted(FidelityError):
    """The user stopped the run; what was finished is in the journal."""

    exit_code = 130


def error_classes() -> dict[str, type[FidelityError]]:
    """Return every error class by name; the worker protocol uses it to carry errors across processes."""
    found: dict[str, type[FidelityError]] = {}
    waiting: list[type[FidelityError]] = [FidelityError]
    while waiting:
        cls = waiting.pop()
        found[cls.__name__] = cls
        waiting.extend(cls.__subclasses__())
    return found
