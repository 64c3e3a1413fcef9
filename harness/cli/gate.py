"""``fidelity gate``: a stored run judged by other bounds; needs no model."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.output import emit
from harness.config import Places
from harness.errors import UsageError
from harness.gating.policies import resolve
from harness.observations.journal import Journal
from harness.reports.build import build_scorecard
from harness.reports.formats import FORMATS
from harness.reports.gate_table import print_gates
from harness.reports.tokens import tokens_of


@click.command("gate")
@click.argument("run", default="latest")
@click.option("--policy", metavar="FILE", default="", help="A policy file, or a preset: lossless, 8bit, 4bit.")
@click.option("--gate", "gates", multiple=True, metavar="EXPR", help="A bound such as 'kl_ref_cand<=0.02'. Repeatable.")
@click.option(
    "--baseline", type=click.Path(path_type=Path), metavar="FILE", help="An earlier result to hold gates against."
)
@click.option("--format", "form", default="text", show_default=True, type=click.Choice(["text", *FORMATS]))
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="A file instead of stdout.")
@click.option("--results", type=click.Path(path_type=Path), help="Where runs are kept [default: ./results].")
def command(
    run: str,
    policy: str,
    gates: tuple[str, ...],
    baseline: Path | None,
    form: str,
    output: Path | None,
    results: Path | None,
) -> int:
    """Judge a stored RUN (default: the newest) by a policy; no model is loaded, and the run is left as it is.

    A gate passes if its whole interval is inside the bound, fails if its whole interval is outside, and is undecided
    otherwise; the interval is over documents.
    """
    judgement = resolve((*((policy,) if policy else ()), *gates), baseline)
    if judgement is None:
        raise UsageError("nothing to judge by", fix="give --policy FILE, --gate EXPR or --baseline FILE")
    journal = Journal.open(results or Places.default().results, run)
    try:
        scorecard = build_scorecard(journal, judgement.policy, judgement.baseline, judgement.source)
        if form != "text":
            from harness.reports.render import render  # noqa: PLC0415 - pages are slow to import

            emit(render(scorecard, form, tokens_of(journal)), output)
            return scorecard.exit_code
    finally:
        journal.close()
    print_gates(scorecard, journal.folder)
    return scorecard.exit_code
