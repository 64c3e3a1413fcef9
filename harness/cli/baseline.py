"""``fidelity baseline``: keep a result under version control, and ask whether a later one is worse."""

from __future__ import annotations

from pathlib import Path

import click

from harness.config import Places
from harness.gating.baselines import make_baseline, save_baseline
from harness.gating.policies import resolve
from harness.observations.journal import Journal
from harness.reports.build import build_scorecard
from harness.reports.gate_table import print_gates
from harness.verdicts.gates.policy import NO_WORSE

_RESULTS = click.option("--results", type=click.Path(path_type=Path), help="Where runs are kept [default: ./results].")


@click.group("baseline")
def command() -> None:
    """Save a candidate's result as a baseline, or hold a later run against one."""


@command.command("save")
@click.argument("run", default="latest")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), required=True, metavar="FILE",
              help="The file, for example baselines/my-int4.json.")  # fmt: skip
@click.option("--candidate", default="", metavar="NAME", help="Which candidate, where the run has several.")
@click.option("--new-only", is_flag=True, help="Leave a file that is there already as it is.")
@_RESULTS
def save(run: str, output: Path, candidate: str, new_only: bool, results: Path | None) -> int:  # noqa: FBT001
    """Save what a candidate of a stored RUN (default: the newest) measured, document by document."""
    if new_only and output.exists():
        click.echo(f"{output} is there already")
        return 0
    journal = Journal.open(results or Places.default().results, run)
    try:
        baseline = make_baseline(journal, candidate)
    finally:
        journal.close()
    save_baseline(baseline, output)
    click.echo(f"{output}: {baseline.label}, {len(baseline.documents)} documents of {baseline.conditions.suite}")
    return 0


@command.command("compare")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("run", default="latest")
@click.option("--gate", "gates", multiple=True, metavar="EXPR",
              help=f"What counts as worse [default: what is not {NO_WORSE[0]}]. Repeatable.")  # fmt: skip
@_RESULTS
def compare(file: Path, run: str, gates: tuple[str, ...], results: Path | None) -> int:
    """Is a stored RUN (default: the newest) worse than the baseline in FILE? Paired by document, no model is loaded."""
    judgement = resolve(gates, file)
    assert judgement is not None  # a baseline that is named is always judged by
    journal = Journal.open(results or Places.default().results, run)
    try:
        scorecard = build_scorecard(journal, judgement.policy, judgement.baseline, judgement.source)
    finally:
        journal.close()
    print_gates(scorecard, journal.folder)
    return scorecard.exit_code
