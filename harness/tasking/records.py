"""Answers of a reference as a file that others can hold their hosts against: asked once, published, read by everybody."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import ValidationError, model_validator

from harness.errors import UsageError
from harness.observations.journal import storage, write_atomically
from harness.suites.model import Frozen
from harness.suites.requests import UNREACHED, Called
from harness.tasking.planning import TaskPlan

_MOST = 64 << 20


class AnswerRecord(Frozen):
    """Who was asked what on which day, and what came: twice, so that readers know how much answers move by themselves."""

    record_version: Literal[1] = 1
    label: str
    spec: str
    day: str
    requests: str  # digest of all requests
    answers: dict[str, Called]
    control: dict[str, Called]
    software: dict[str, str]
    notes: tuple[str, ...] = ()  # what holds for all of its answers

    @model_validator(mode="after")
    def _whole(self) -> AnswerRecord:
        answers = [*self.answers.values(), *self.control.values()]
        if any(one.lost.startswith(UNREACHED) for one in answers):
            raise ValueError("it holds answers that did not come")
        return self


def is_record(text: str) -> bool:
    """Whether a reference is written as the path of a record."""
    return text.endswith(".json") and Path(text).is_file()


def read_record(path: Path, requests: str) -> AnswerRecord:
    """A record of these requests; raises UsageError for one that is damaged, or of other requests."""
    try:
        if path.stat().st_size > _MOST:
            raise ValueError("it is larger than 64 MiB")
        found = AnswerRecord.model_validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        said = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise UsageError(
            f"this is no record of answers: {said}",
            where=str(path),
            fix="make one with fidelity tools REFERENCE --record FILE",
        ) from error
    if found.requests != requests:
        raise UsageError(
            "this record answers other requests: other cases, or another limit of tokens",
            where=str(path),
            fix="give the --cases and --max-tokens that it was made with, or record the reference again",
        )
    return found


def write_record(path: Path, plan: TaskPlan, answers: dict[str, dict[str, Called]], notes: tuple[str, ...]) -> None:
    """Store the answers of a run's reference, and of its control if there is one."""
    reference = plan.targets[0]
    record = AnswerRecord(
        label=reference.label, spec=reference.spec, day=plan.day, requests=plan.requests,
        answers=answers.get("reference", {}), control=answers.get("control", {}), software=plan.software, notes=notes,
    )  # fmt: skip
    with storage(path.parent):
        write_atomically(path, (record.model_dump_json(indent=1) + "\n").encode())
