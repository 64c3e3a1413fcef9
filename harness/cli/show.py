"""``fidelity show``: what a stored run holds."""

from __future__ import annotations

from pathlib import Path

import click

from harness.auditing import AuditFolder
from harness.config import Places
from harness.observations.journal import Journal
from harness.observations.stored_runs import Kind, find_run, kind_of
from harness.redact import safe_line
from harness.tasking.store import TaskFolder


@click.command("show")
@click.argument("run", default="latest")
@click.option("--results", type=click.Path(path_type=Path), help="Where runs are kept [default: ./results].")
def command(run: str, results: Path | None) -> int:
    """Show the plan of a stored RUN (default: the newest) and how far it came."""
    folder = find_run(results or Places.default().results, run)
    kind = kind_of(folder)
    if kind is Kind.AUDIT:
        return _audit(AuditFolder(folder))
    if kind is Kind.TASKS:
        return _tasks(TaskFolder(folder))
    journal = Journal.open(folder.parent, str(folder))
    try:
        manifest, plan = journal.manifest, journal.plan
        click.echo(f"run      {manifest.run} ({manifest.status}) {safe_line(manifest.problem)}".rstrip())
        click.echo(f"command  {safe_line(manifest.command, 400)}")
        click.echo(f"plan     {plan.digest[:16]}  suite {manifest.suite} ({plan.suite['profile']})")
        click.echo(f"items    {len(plan.sequences)}, {sum(s.scored for s in plan.items()):,} scored tokens")
        for target in plan.targets:
            done = len(journal.finished(target.key))
            click.echo(f"  {target.role:<10} {safe_line(target.label):<28} {done} of {len(plan.of(target))} items")
        for claim in plan.claims:
            click.echo(f"  claim      {safe_line(claim.candidate)}: {claim.precision} (from {claim.source})")
    finally:
        journal.close()
    return 0


def _audit(stored: AuditFolder) -> int:
    """The plan of an audit, and how many of its questions have an answer."""
    plan = stored.plan
    click.echo(f"run      {stored.folder.name} (audit, {'complete' if stored.finished else 'unfinished'})")
    click.echo(f"against  {safe_line(plan.reference, 200)}")
    click.echo(f"of       {safe_line(plan.endpoint, 200)}")
    click.echo(f"asks     at most {plan.requests:,} questions of {plan.tokens} tokens, {plan.protocol}")
    if plan.extras:
        click.echo(f"with     {plan.extras.shown}")
    click.echo(f"bank     {', '.join(safe_line(name, 40) for name in [*plan.honest, *plan.families])}")
    click.echo(f"alpha    {plan.alpha:g}")
    if stored.finished:
        card = stored.card
        told = f"{card.facts.requests:,} questions, {card.facts.tokens:,} tokens" if card.facts else "nothing"
        click.echo(f"scored   {told}; lost {sum(card.losses.values()):,}")
    return 0


def _tasks(stored: TaskFolder) -> int:
    """The plan of a task run, and how many answers each target has given."""
    plan = stored.plan
    click.echo(f"run      {stored.folder.name} ({'complete' if stored.finished else 'unfinished'})")
    click.echo(f"plan     {plan.digest[:16]}  asked {'as conversations' if plan.chat else 'as plain text'}")
    for task in plan.tasks:
        click.echo(f"task     {safe_line(task.name, 60)} v{safe_line(task.version, 20)}: {task.items} items")
    with stored:
        for target in plan.targets:
            click.echo(f"  {target.role:<10} {safe_line(target.label, 60):<28} {stored.count(target.key)} answers")
    return 0
