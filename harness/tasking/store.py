"""The folder of a task run: plan first, answers one by one in SQLite, scores per target, and last the card with its page."""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from harness.config import writable
from harness.errors import StoredRunError
from harness.observations.folder import HeldFolder
from harness.observations.journal import storage, write_atomically
from harness.observations.stored_runs import Kind, find_kind
from harness.reports.pages.tasks import render_tasks
from harness.reports.task_card import TaskCard
from harness.suites.requests import Answered, Asked, answer_kind
from harness.suites.scores import ItemScore, SelfCheck
from harness.tasking.planning import TaskPlan

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    target TEXT NOT NULL, key TEXT NOT NULL, answer TEXT NOT NULL, PRIMARY KEY (target, key)) STRICT;
CREATE TABLE IF NOT EXISTS notes (target TEXT NOT NULL, note TEXT NOT NULL, PRIMARY KEY (target, note)) STRICT;
"""
_PLAN, _ANSWERS, _SCORES, _CHECKS = "plan.json", "answers.sqlite", "scores.json", "checks.json"
_CARD, _PAGE, _PARTIAL = "tasks.json", "report.html", "partial"
_STORED = TypeAdapter(dict[str, dict[str, list[ItemScore]]])
_CHECKED = TypeAdapter(dict[str, SelfCheck])


class TaskFolder(HeldFolder):
    """One task run on disk; a context that gives the folder back."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._database: sqlite3.Connection | None = None

    @classmethod
    def create(cls, results: Path, plan: TaskPlan) -> TaskFolder:
        """A new folder with the frozen plan in it."""
        writable(results, "results")
        folder = results / f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-tasks-{secrets.token_hex(3)}"
        folder.mkdir()
        with storage(folder):
            write_atomically(folder / _PLAN, plan.model_dump_json(indent=1).encode())
        created = cls(folder)
        created.take()
        return created

    @classmethod
    def unfinished(cls, results: Path, plan: TaskPlan) -> TaskFolder | None:
        """The newest run of this plan that lacks a card or answers, and has no process at work."""
        for folder in sorted(results.glob("*-tasks-*"), reverse=True):
            if (folder / _PLAN).exists() and (not (folder / _CARD).exists() or (folder / _PARTIAL).exists()):
                try:
                    stored = TaskPlan.model_validate_json((folder / _PLAN).read_bytes())
                except (OSError, ValidationError):
                    continue
                found = cls(folder)
                if stored == plan and found.take():
                    return found
        return None

    @classmethod
    def open(cls, results: Path, name: str) -> TaskFolder | None:
        """A stored task run by path, name or unique part of it, or the newest run if that is one; None if it is none."""
        folder = find_kind(results, name, Kind.TASKS)
        return cls(folder) if folder else None

    def __exit__(self, *_: object) -> None:
        """Close the answers, and give the folder back."""
        if self._database is not None:
            self._database.close()
            self._database = None
        super().__exit__()

    @property
    def plan(self) -> TaskPlan:
        """The plan as it was frozen; raises StoredRunError for one that cannot be read."""
        try:
            return TaskPlan.model_validate_json((self.folder / _PLAN).read_bytes())
        except (OSError, ValidationError) as error:
            raise StoredRunError(
                "the plan of this run cannot be read",
                where=str(self.folder),
                fix="read it with the version of fidelity-harness that wrote it, or run it again",
            ) from error

    @property
    def finished(self) -> bool:
        """Whether it has a result."""
        return (self.folder / _CARD).exists()

    @property
    def card(self) -> TaskCard:
        """The result as it was stored; raises StoredRunError for a run that is not finished."""
        try:
            return TaskCard.model_validate_json((self.folder / _CARD).read_bytes())
        except (OSError, ValidationError) as error:
            raise StoredRunError(
                "this run has no result that can be read",
                where=str(self.folder),
                fix="give the same command again: it goes on where it ended",
            ) from error

    def keep_answers(self, target: str, asked: Sequence[Asked], answers: Sequence[Answered]) -> None:
        """Store some answers of a target."""
        rows = [(target, one.key, answer.model_dump_json()) for one, answer in zip(asked, answers, strict=True)]
        with storage(self.folder), self._open() as database:
            database.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", rows)

    def answers(self, target: str, asked: Sequence[Asked]) -> dict[str, Answered]:
        """The stored answers of a target to these requests, by key."""
        kinds = {one.key: answer_kind(one) for one in asked}
        found = self._read("SELECT key, answer FROM answers WHERE target = ?", target)
        return {key: kinds[key].model_validate_json(answer) for key, answer in found if key in kinds}

    def count(self, target: str) -> int:
        """How many answers of a target are stored."""
        return int(self._read("SELECT count(*) FROM answers WHERE target = ?", target)[0][0])

    def keep_notes(self, target: str, notes: Sequence[str]) -> None:
        """Store what holds for all answers of a target."""
        with storage(self.folder), self._open() as database:
            database.executemany("INSERT OR IGNORE INTO notes VALUES (?, ?)", [(target, note) for note in notes])

    def notes(self, target: str) -> tuple[str, ...]:
        """What ``keep_notes`` stored."""
        return tuple(note for (note,) in self._read("SELECT note FROM notes WHERE target = ?", target))

    @property
    def partial(self) -> bool:
        """Whether some requests have no answer that stays: the same command goes on."""
        return (self.folder / _PARTIAL).exists()

    def keep_scores(
        self, scores: Mapping[str, Mapping[str, Sequence[ItemScore]]], checks: Mapping[str, SelfCheck], *, partial: bool
    ) -> None:
        """Store the scores of all targets, by key and task, and what the metrics' own checks came to."""
        with storage(self.folder):
            plain = {target: {task: list(items) for task, items in tasks.items()} for target, tasks in scores.items()}
            write_atomically(self.folder / _SCORES, _STORED.dump_json(plain))
            write_atomically(self.folder / _CHECKS, _CHECKED.dump_json(dict(checks)))
            if partial:
                write_atomically(self.folder / _PARTIAL, b"")
            else:
                (self.folder / _PARTIAL).unlink(missing_ok=True)

    def scores(self) -> tuple[dict[str, dict[str, list[ItemScore]]], dict[str, SelfCheck]]:
        """What ``keep_scores`` stored; raises StoredRunError for damage."""
        try:
            return (
                _STORED.validate_json((self.folder / _SCORES).read_bytes()),
                _CHECKED.validate_json((self.folder / _CHECKS).read_bytes()),
            )
        except (OSError, ValidationError) as error:
            raise StoredRunError(
                "the scores of this run cannot be read",
                where=str(self.folder),
                fix="give the same command again: it goes on where it ended",
            ) from error

    def keep_card(self, card: TaskCard) -> None:
        """Store the result and its page; the run is finished."""
        with storage(self.folder):
            write_atomically(self.folder / _PAGE, render_tasks(card).encode())
            write_atomically(self.folder / _CARD, (card.model_dump_json(indent=1) + "\n").encode())

    def _read(self, query: str, target: str) -> list[tuple[Any, ...]]:
        """All rows of a query; raises StoredRunError for a database that is damaged."""
        try:
            return self._open().execute(query, (target,)).fetchall()
        except sqlite3.DatabaseError as error:
            raise StoredRunError(f"the answers of this run are damaged: {error}", where=str(self.folder)) from error

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            self._database = sqlite3.connect(self.folder / _ANSWERS)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.executescript(_SCHEMA)
        return self._database
