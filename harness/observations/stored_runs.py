"""Which folder a name of a stored run means: one rule for comparisons, audits and task runs. Reads names alone, no contents."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path

from harness.errors import UnknownName
from harness.redact import safe_line

#: What holds the frozen plan of a comparison, and of an audit or a task run.
DATABASE, PLAN = "run.sqlite", "plan.json"
_STAMPED = re.compile(r"\d{8}T\d{6}Z-(?:audit-|tasks-)?[0-9a-f]{6}")
_MOST_NAMED = 5


class Kind(StrEnum):
    """What a stored run is, as people call it."""

    COMPARISON = "comparison"
    AUDIT = "audit"
    TASKS = "task run"


def kind_of(folder: Path) -> Kind:
    """What a folder of a run holds, by its name."""
    if "-audit-" in folder.name:
        return Kind.AUDIT
    return Kind.TASKS if "-tasks-" in folder.name else Kind.COMPARISON


def stored_runs(results: Path) -> list[Path]:
    """The folders of all runs, newest last; also of those that are damaged, or ended before their plan was stored."""
    return sorted(path for path in results.glob("*-*") if _is_run(path))


def find_run(results: Path, name: str) -> Path:
    """The folder of a run: by path, name, beginning or end of its name; ``latest`` is the newest of any kind.

    Raises UnknownName for no run, and for several: another run than the one that was meant must never be shown.
    """
    runs = stored_runs(results)
    direct = [path for path in (Path(name), results / name) if _is_run(path)]
    found = direct[:1] or (
        runs[-1:] if name == "latest" else [run for run in runs if run.name.startswith(name) or run.name.endswith(name)]
    )
    if len(found) != 1:
        several = ": " + ", ".join(run.name for run in found[:_MOST_NAMED]) if found else ""
        raise UnknownName(
            f"{len(found)} stored runs match {safe_line(name)!r}{several}",
            where=str(results),
            fix="'fidelity ls' lists the runs",
        )
    return found[0]


def find_kind(results: Path, name: str, kind: Kind) -> Path | None:
    """As ``find_run``; None where no run has this name, or it is of another kind."""
    try:
        found = find_run(results, name)
    except UnknownName:
        return None
    return found if kind_of(found) is kind else None


def _is_run(path: Path) -> bool:
    known = bool(_STAMPED.fullmatch(path.name)) or (path / DATABASE).is_file() or (path / PLAN).is_file()
    return known and path.is_dir()
