"""``fidelity ls``: stored runs."""

from __future__ import annotations

from pathlib import Path

import click

from harness.auditing import AuditFolder
from harness.config import Places
from harness.errors import StoredRunError
from harness.observations.journal import read_manifest
from harness.observations.stored_runs import Kind, kind_of, stored_runs
from harness.redact import safe_line
from harness.tasking.store import TaskFolder


@click.command("ls")
@click.option("--results", type=click.Path(path_type=Path), help="Where runs are kept [default: ./results].")
def command(results: Path | None) -> int:
    """List stored runs, newest last; one that cannot be read is named, and ends nothing."""
    folder = results or Places.default().results
    runs = stored_runs(folder)
    if not runs:
        click.echo(f"no runs in {folder}")
    for run in runs:
        try:
            status, told = {Kind.AUDIT: _audit, Kind.TASKS: _tasks, Kind.COMPARISON: _comparison}[kind_of(run)](run)
        except StoredRunError as error:
            status, told = "unreadable", error.problem
        click.echo(f"{safe_line(run.name)}  {status:<11}  {told}".rstrip())
    return 0


def _audit(folder: Path) -> tuple[str, str]:
    stored = AuditFolder(folder)
    plan = stored.plan
    told = f"{safe_line(plan.reference, 30)} vs {safe_line(plan.endpoint, 60)}"
    return "complete" if stored.finished else "unfinished", told


def _tasks(folder: Path) -> tuple[str, str]:
    run = TaskFolder(folder)
    reference, *others = (safe_line(target.label, 30) for target in run.plan.targets if target.role != "control")
    return "complete" if run.finished else "unfinished", f"{reference} vs {', '.join(others)}"


def _comparison(folder: Path) -> tuple[str, str]:
    manifest = read_manifest(folder)
    if manifest is None:
        raise StoredRunError("the run has no readable manifest.json")
    names = ", ".join(safe_line(name, 30) for name in manifest.candidates)
    return manifest.status, f"{manifest.suite:<8}  {safe_line(manifest.reference, 30)} vs {names}"
