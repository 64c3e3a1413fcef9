"""The journal of a run: one SQLite file, one writer, every attempt noted before it is made.

``manifest.json`` beside it is written atomically and says how the run stands; its status becomes ``complete`` last.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import JsonValue, ValidationError

from harness import __version__
from harness.config import writable
from harness.errors import StorageError, StoredRunError, UnknownName
from harness.observations.plan import Plan
from harness.observations.stored_runs import DATABASE, Kind, find_run, kind_of, stored_runs
from harness.suites.model import Frozen
from harness.targets.rows import Rows, pack_rows, unpack_rows

Status = Literal["started", "complete", "interrupted", "error"]

_APPLICATION = 0x46494445  # "FIDE"
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE attempts (
    id INTEGER PRIMARY KEY, target TEXT NOT NULL, sequences TEXT NOT NULL,
    started REAL NOT NULL, finished REAL, outcome TEXT NOT NULL) STRICT;
CREATE TABLE rows (
    target TEXT NOT NULL, sequence TEXT NOT NULL, attempt INTEGER NOT NULL REFERENCES attempts (id),
    blob BLOB NOT NULL, PRIMARY KEY (target, sequence)) STRICT;
CREATE TABLE notes (kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (kind, key)) STRICT;
"""


class Manifest(Frozen):
    """How a run stands, for people and for ``fidelity ls``."""

    run: str
    status: Status
    created: str
    plan: str
    suite: str
    reference: str
    candidates: tuple[str, ...]
    command: str
    version: str
    problem: str = ""


class Journal:
    """A run folder, open for writing (``create``, ``resume``) or for reading (``open``)."""

    def __init__(self, folder: Path, connection: sqlite3.Connection, lock: int | None) -> None:
        self.folder = folder
        self._db = connection
        self._lock = lock  # held by the one process that may write

    @classmethod
    def create(cls, results: Path, plan: Plan, command: str) -> Journal:
        """Start a new run folder with the plan in it."""
        writable(results, "results")
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        folder = results / f"{stamp}-{secrets.token_hex(3)}"
        folder.mkdir()
        with storage(folder):
            journal = cls(folder, _connect(folder / DATABASE), lock_folder(folder))
            journal._db.executescript(f"PRAGMA application_id={_APPLICATION}; PRAGMA user_version=1;" + _SCHEMA)
            with journal._db:
                journal._db.execute("INSERT INTO meta VALUES ('plan', ?)", (plan.model_dump_json(),))
            journal.write_manifest(
                Manifest(
                    run=folder.name,
                    status="started",
                    created=stamp,
                    plan=plan.digest,
                    suite=f"{plan.suite['name']}@{plan.suite['version']}",
                    reference=plan.reference.label,
                    candidates=tuple(target.label for target in plan.role("candidate")),
                    command=command,
                    version=__version__,
                )
            )
        return journal

    @classmethod
    def resume(cls, results: Path, plan: Plan) -> Journal | None:
        """The newest unfinished run of exactly this plan, or None."""
        for folder in sorted(results.glob("*-*"), reverse=True):
            manifest = read_manifest(folder)
            if manifest and manifest.plan == plan.digest and manifest.status != "complete":
                lock = lock_folder(folder)
                if lock is None:
                    continue  # another process is at it right now
                journal = cls(folder, _connect(folder / DATABASE), lock)
                journal.set_status("started")
                return journal
        return None

    @classmethod
    def open(cls, results: Path, run: str) -> Journal:
        """Open a stored comparison for reading, by folder, name or unique part of its name; ``latest`` is the newest.

        Raises UnknownName for no run, several, or one of another kind, and StoredRunError for one that cannot be read.
        """
        if run == "latest":
            found = [folder for folder in stored_runs(results) if (folder / DATABASE).is_file()][-1:]
            folder = found[0] if found else find_run(results, run)
        else:
            folder = find_run(results, run)
        if not (folder / DATABASE).is_file():
            kind = kind_of(folder)
            if kind is not Kind.COMPARISON:
                raise UnknownName(
                    f"{folder.name} is no comparison, but the {kind} of an endpoint or of items",
                    where=str(folder),
                    fix="'fidelity ls' lists the runs; 'fidelity report' judges those of every kind",
                )
            raise StoredRunError("this run ended before anything of it was stored", where=str(folder))
        connection = sqlite3.connect(f"{(folder / DATABASE).resolve().as_uri()}?mode=ro", uri=True)
        return cls(folder, connection, None)

    @property
    def plan(self) -> Plan:
        """The frozen plan; raises StoredRunError if another version wrote it."""
        try:
            row = self._db.execute("SELECT value FROM meta WHERE key = 'plan'").fetchone()
            return Plan.model_validate_json(row[0])
        except (sqlite3.DatabaseError, ValidationError, TypeError) as error:
            raise StoredRunError(
                "the plan of this run cannot be read",
                where=str(self.folder),
                fix="use the version of fidelity-harness named in its manifest.json",
            ) from error

    def begin(self, target: str, sequences: list[str]) -> int:
        """Note an attempt before it is made."""
        with storage(self.folder), self._db:
            cursor = self._db.execute(
                "INSERT INTO attempts (target, sequences, started, outcome) VALUES (?, ?, ?, 'sent')",
                (target, json.dumps(sequences), time.time()),
            )
        return int(cursor.lastrowid or 0)

    def finish(self, attempt: int, target: str, rows: dict[str, Rows]) -> None:
        """Store the rows of an attempt and mark it done, in one transaction."""
        with storage(self.folder), self._db:
            self._db.executemany(
                "INSERT OR IGNORE INTO rows VALUES (?, ?, ?, ?)",
                [(target, sequence, attempt, pack_rows(part)) for sequence, part in rows.items()],
            )
            self._db.execute("UPDATE attempts SET finished = ?, outcome = 'ok' WHERE id = ?", (time.time(), attempt))

    def fail(self, attempt: int, problem: str) -> None:
        """Keep the failure of an attempt."""
        with storage(self.folder), self._db:
            self._db.execute(
                "UPDATE attempts SET finished = ?, outcome = ? WHERE id = ?", (time.time(), problem[:500], attempt)
            )

    def finished(self, target: str) -> set[str]:
        """Sequences of a target that are in the journal."""
        return {str(row[0]) for row in self._read("SELECT sequence FROM rows WHERE target = ?", target)}

    def rows(self, target: str, sequence: str) -> Rows | None:
        """The rows of one sequence, or None if it was not scored."""
        found = self._read("SELECT blob FROM rows WHERE target = ? AND sequence = ?", target, sequence)
        return unpack_rows(found[0][0]) if found else None

    def note(self, kind: str, key: str, value: JsonValue) -> None:
        """Store a fact about the run (an identity, a rendering, a piece table); the first one stands."""
        with storage(self.folder), self._db:
            self._db.execute("INSERT OR IGNORE INTO notes VALUES (?, ?, ?)", (kind, key, json.dumps(value)))

    def noted(self, kind: str, key: str) -> JsonValue:
        """A stored fact, or None."""
        found = self._read("SELECT value FROM notes WHERE kind = ? AND key = ?", kind, key)
        return json.loads(found[0][0]) if found else None

    def notes(self, kind: str) -> dict[str, JsonValue]:
        """All stored facts of a kind."""
        rows = self._read("SELECT key, value FROM notes WHERE kind = ?", kind)
        return {str(key): json.loads(value) for key, value in rows}

    def _read(self, query: str, *values: str) -> list[tuple[Any, ...]]:
        """All rows of a query; raises StoredRunError for a database that is damaged."""
        try:
            return self._db.execute(query, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise StoredRunError(f"the database of this run is damaged: {error}", where=str(self.folder)) from error

    @property
    def manifest(self) -> Manifest:
        """How the run stands."""
        manifest = read_manifest(self.folder)
        if manifest is None:
            raise StoredRunError("the run has no readable manifest.json", where=str(self.folder))
        return manifest

    def write_manifest(self, manifest: Manifest) -> None:
        """Replace ``manifest.json`` atomically."""
        write_atomically(self.folder / "manifest.json", manifest.model_dump_json(indent=2).encode())

    def set_status(self, status: Status, problem: str = "") -> None:
        """Change the status in the manifest."""
        self.write_manifest(self.manifest.model_copy(update={"status": status, "problem": problem}))

    def close(self) -> None:
        """Close the database; a writer folds its log in first, so that the folder holds one file."""
        if self._lock is not None:
            with contextlib.suppress(sqlite3.OperationalError):  # a full disk: the log stays, nothing is lost
                self._db.execute("PRAGMA journal_mode=DELETE")
        self._db.close()
        if self._lock is not None:
            os.close(self._lock)


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a run folder, or None if there is none that can be read."""
    try:
        return Manifest.model_validate_json((folder / "manifest.json").read_bytes())
    except (OSError, ValidationError):
        return None


def write_atomically(path: Path, data: bytes) -> None:
    """Write to a temporary name, flush to the disk, rename: a reader sees the old file or the new one."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with storage(path.parent):
        try:
            with partial.open("wb") as handle:
                handle.write(data)
                handle.flush()
                os.fsync(handle.fileno())
            partial.replace(path)
        except OSError:
            partial.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def storage(folder: Path) -> Iterator[None]:
    """Turn a full disk and other storage failures into one error with a way out."""
    try:
        yield
    except (sqlite3.OperationalError, OSError) as error:
        raise StorageError(
            f"the run cannot be written: {error}",
            where=str(folder),
            fix="free some space and give the same command again; what was finished is kept",
        ) from error


def lock_folder(folder: Path) -> int | None:
    """Take the run folder for this process; None if another process has it. Ends with the process, however it ends."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path)
    connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;")
    return connection
