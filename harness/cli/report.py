"""``fidelity report``: judge a stored run again and render it; needs no model."""

from __future__ import annotations

from pathlib import Path

import click

from harness.config import Places
from harness.observations.journal import Journal
from harness.reports.build import build_scorecard
from harness.reports.console import print_scorecard
from harness.reports.render import FORMATS, render


@click.command("report")
@click.argument("run", default="latest")
@click.option("--format", "form", default="text", show_default=True, type=click.Choice(["text", *FORMATS]))
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="A file instead of stdout.")
@click.option("--results", type=click.Path(path_type=Path), help="Where runs are kept [default: ./results].")
def command(run: str, form: str, output: Path | None, results: Path | None) -> int:
    """Judge a stored RUN again (default: the newest) and print it in a format."""
    journal = Journal.open(results or Places.default().results, run)
    try:
        scorecard = build_scorecard(journal)
    finally:
        journal.close()
    if form == "text":
        print_scorecard(scorecard, journal.folder)
        return scorecard.exit_code
    data = render(scorecard, form)
    if output:
        output.write_bytes(data)
    else:
        click.echo(data.decode())
    return scorecard.exit_code
