"""``fidelity report``: judge a stored run again and render it; needs no model."""

from __future__ import annotations

import os
from pathlib import Path

import click
from rich.console import Console

from harness.auditing import AuditFolder, judge_again
from harness.cli.output import emit
from harness.config import Places
from harness.observations.asked import Asked
from harness.observations.journal import Journal
from harness.observations.stored_runs import Kind, find_run, kind_of
from harness.reports.audit_card import print_audit_card
from harness.reports.build import build_scorecard
from harness.reports.console import print_scorecard
from harness.reports.formats import AUDIT_FORMATS, FORMATS, TASK_FORMATS
from harness.reports.formats.eval_results import render_eval_results
from harness.reports.formats.every_eval_ever import NO_DEVELOPER, every_eval_ever_files, render_every_eval_ever
from harness.reports.pages.audit import render_audit
from harness.reports.pages.tasks import render_tasks
from harness.reports.render import render
from harness.reports.scorecard import Scorecard
from harness.reports.task_card import print_task_card
from harness.reports.tokens import tokens_of
from harness.tasking.judging import judge
from harness.tasking.store import TaskFolder

_RECORDS = "every-eval-ever"


@click.command("report")
@click.argument("run", default="latest")
@click.option(
    "--format", "form", default="text", show_default=True, type=click.Choice(["text", *FORMATS, "eval-results"])
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path),
    help="A file instead of stdout; for every-eval-ever a folder, too, with a file for each candidate.",
)  # fmt: skip
@click.option("--developer", default="", metavar="NAME", help="Who provides the model; for every-eval-ever alone.")
@click.option("--results", type=click.Path(path_type=Path), help="Where runs are kept [default: ./results].")
def command(run: str, form: str, output: Path | None, developer: str, results: Path | None) -> int:
    """Judge a stored RUN again (default: the newest) and print it in a format."""
    if developer and form != _RECORDS:
        raise click.UsageError(f"--developer belongs to --format {_RECORDS}")
    if output and output.is_dir() and form != _RECORDS:
        raise click.UsageError(f"-o {output} is a folder; {form} is one file")
    folder = find_run(results or Places.default().results, run)
    kind = kind_of(folder)
    if kind is Kind.AUDIT:
        return _audit(AuditFolder(folder), form, output)
    if kind is Kind.TASKS:
        return _tasks(TaskFolder(folder), form, output)
    journal = Journal.open(folder.parent, str(folder))
    try:
        scorecard = build_scorecard(journal)
        if form != "text":
            if form not in FORMATS:
                raise click.UsageError(f"a comparison has no task scores; it is printed as text, {', '.join(FORMATS)}")
            if form == _RECORDS:
                _records(scorecard, output, developer)
            else:
                emit(render(scorecard, form, tokens_of(journal)), output)
            return scorecard.exit_code
    finally:
        journal.close()
    print_scorecard(scorecard, journal.folder)
    return scorecard.exit_code


def _records(scorecard: Scorecard, output: Path | None, developer: str) -> None:
    """A record per candidate: to stdout or a file where there is one, else as files of a folder, or beside each other."""
    if not developer:
        click.echo(f"warning: {NO_DEVELOPER}", err=True)
    files = every_eval_ever_files(scorecard, developer)
    if output is None or (len(files) == 1 and not output.is_dir()):
        emit(next(iter(files.values())) if len(files) == 1 else render_every_eval_ever(scorecard), output)
        return
    whole = output.is_dir() or not output.suffix
    if whole:
        output.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        path = output / f"{name}.json" if whole else output.with_name(f"{output.stem}-{name}{output.suffix}")
        emit(data, path)
        click.echo(str(path), err=True)


def _tasks(stored: TaskFolder, form: str, output: Path | None) -> int:
    with stored:
        card = judge(stored)
    if form == "text":
        print_task_card(card, stored.folder, Console(highlight=False, width=None if os.isatty(1) else 150))
        return card.exit_code
    if form not in TASK_FORMATS:
        raise click.UsageError(f"a task run is printed as text, {', '.join(TASK_FORMATS)}, and not as {form}")
    if form == "eval-results":
        emit(render_eval_results(card), output)
    else:
        emit((card.model_dump_json(indent=1) if form == "json" else render_tasks(card)).encode(), output)
    return card.exit_code


def _audit(stored: AuditFolder, form: str, output: Path | None) -> int:
    card = judge_again(stored)
    if form == "text":
        console = Console(highlight=False, width=None if os.isatty(1) else 140)
        print_audit_card(card, console, str(stored.folder / "report.html"))
        return card.exit_code
    if form not in AUDIT_FORMATS:
        raise click.UsageError(f"an audit is printed as text, {', '.join(AUDIT_FORMATS)}, and not as {form}")
    with Asked(stored.folder / "asked.sqlite") as asked:
        data = card.model_dump_json(indent=1) if form == "json" else render_audit(card, asked.request_of("reply-0000"))
    emit(data.encode(), output)
    return card.exit_code
