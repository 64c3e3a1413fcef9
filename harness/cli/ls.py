"""``fidelity ls``: stored runs."""

from __future__ import annotations

from pathlib import Path

import click

from harness.auditing import AuditFolder
from harness.config import Places
from harness.errors import StoredRunError
from harness.observations.journal import read_manifest
from harness.redact import safe_line
from harness.tasking.store import TaskFolder


@click.command("ls")
@click.option("--results", type=click.Path(path_type=Path), help="Where runs are kept [default: ./results].")
def command(results: Path | None) -> int:
    """List stored runs, newest last."""
    folder = results or Places.default().results
    manifests = [manifest for path in sorted(folder.glob("*-*")) if (manifest := read_manifest(path))]
    audits = [stored for path in sorted(folder.glob("*-audit-*")) if (stored := AuditFolder.open(folder, path.name))]
    for stored in audits:
        status, plan = "complete" if stored.finished else "unfinished", stored.plan
        click.echo(
            f"{stored.folder.name}  {status:<11}  {safe_line(plan.reference, 30)} vs {safe_line(plan.endpoint, 60)}"
        )
    asked = [found for path in sorted(folder.glob("*-tasks-*")) if (found := TaskFolder.open(folder, path.name))]
    for run in asked:
        click.echo(_tasks(run))
    if not manifests and not audits and not asked:
        click.echo(f"no runs in {folder}")
        return 0
    for manifest in manifests:
        names = ", ".join(safe_line(name, 30) for name in manifest.candidates)
        click.echo(
            f"{manifest.run}  {manifest.status:<11}  {manifest.suite:<8}  {safe_line(manifest.reference, 30)} vs {names}"
        )
    return 0


def _tasks(run: TaskFolder) -> str:
    """A line about a task run."""
    try:
        reference, *others = (safe_line(target.label, 30) for target in run.plan.targets if target.role != "control")
    except StoredRunError as error:
        return f"{run.folder.name}  unreadable   {error.problem}"
    status = "complete" if run.finished else "unfinished"
    return f"{run.folder.name}  {status:<11}  {reference} vs {', '.join(others)}"
