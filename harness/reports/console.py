"""The scorecard on a terminal: findings, a table per candidate, and the verdict as the last line of stdout."""

from __future__ import annotations

import os
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.numbers import interval, number, valued
from harness.redact import safe_line
from harness.reports.gate_table import gate_table, policy_note
from harness.reports.ranking import place_text, ranking_rows
from harness.reports.scorecard import CandidateCard, Scorecard, verdict_line
from harness.verdicts.catalogue import entry
from harness.verdicts.model import Outcome

_SHOWN = ("kl_ref_cand", "kl_lower", "ear", "top1_agreement", "confident_flips", "ppl_ratio", "dp_rms", "kl_p99")
_COLOURS = {
    Outcome.WITHIN: "green",
    Outcome.BEYOND: "red",
    Outcome.INCONCLUSIVE: "yellow",
    Outcome.NOT_TESTABLE: "yellow",
    Outcome.NOT_RUN: "dim",
}


def print_scorecard(scorecard: Scorecard, folder: Path, console: Console | None = None) -> None:
    """Print a scorecard to standard output."""
    console = console or Console(soft_wrap=False, highlight=False, width=_width())
    suite = scorecard.suite
    console.print(
        f"\nreference {safe_line(scorecard.reference.folder)}   suite {safe_line(suite.name)} "
        f"v{suite.version} ({safe_line(suite.profile)}): "
        f"{suite.tokens:,} scored tokens, {suite.documents} documents",
        markup=False,
    )
    if scorecard.partial:
        console.print(Text(f"only part of the run: {safe_line(scorecard.partial, 300)}", style="yellow"))
    for note in scorecard.left_out:
        console.print(Text(f"left out: {safe_line(note, 300)}", style="yellow"))
    for card in scorecard.candidates:
        _print_candidate(console, card)
    if scorecard.ranking:
        console.print(Text("\ncandidates against each other, by mean KL, paired by document", style="dim"))
        for place, step in ranking_rows(scorecard.ranking):
            line = f"  {place_text(place):<8} {safe_line(place.label)}  {number(place.value)} nat/token"
            console.print(Text(f"{line}, {safe_line(step)}" if step else line))
    console.print()
    for card in scorecard.candidates:
        line = f"{safe_line(card.evidence.label)} (claimed {safe_line(card.evidence.claim)})"
        cause = f" cause={card.verdict.cause}" if card.verdict.cause else ""
        console.print(Text(f"{line}: ").append(f"{card.verdict.outcome}{cause}", style=_COLOURS[card.verdict.outcome]))
    leading = next((c for c in scorecard.candidates if c.verdict.outcome is scorecard.outcome), None)
    cause = str(leading.verdict.cause) if leading and leading.verdict.cause else ""
    report = str(folder / "report.html")
    print(verdict_line(scorecard.outcome, cause, scorecard.exit_code, report), flush=True)  # noqa: T201 - the last line


def _print_candidate(console: Console, card: CandidateCard) -> None:
    evidence, verdict = card.evidence, card.verdict
    console.print()
    head = Text(f"{safe_line(evidence.label)}", style="bold").append(
        f"  claimed {safe_line(evidence.claim)}", style="dim"
    )
    console.print(head.append("  ").append(str(verdict.outcome), style=f"bold {_COLOURS[verdict.outcome]}"))
    console.print(Text(f"  {safe_line(verdict.sentence, 600)}"))
    if evidence.policy:
        console.print(gate_table(evidence.policy))
        console.print(Text(f"  {policy_note(evidence.policy)}", style="dim"))
    if evidence.checks:
        console.print(_table(card))
    if evidence.ladder:
        ladder = evidence.ladder
        note = f"; {ladder.note}" if ladder.note else ""
        bits = f"{ladder.bits:.1f} bits ({ladder.low:.1f} to {ladder.high:.1f}){note}"
        console.print(Text(f"  behaves like round to nearest at {bits}"))
    for axis in verdict.axes:
        console.print(
            Text(f"  {axis.axis:<13}")
            .append(f"{axis.outcome:<13}", style=_COLOURS[axis.outcome])
            .append(safe_line(axis.reason, 400))
        )
    for finding in card.findings:
        about = entry(finding.code)
        console.print(Text(f"  {finding.code} {about.severity} {about.title}: {safe_line(finding.detail, 240)}"))
        if about.severity not in {"S0", "S1"}:
            console.print(Text(f"      fix: {about.fix}", style="dim"))


def _table(card: CandidateCard) -> Table:
    table = Table(box=None, padding=(0, 2), pad_edge=True)
    for title in ("check", "value", "95 % interval", "band", "docs", "note"):
        table.add_column(title, justify="left" if title in {"check", "note"} else "right", overflow="fold")
    for key in _SHOWN:
        check = card.evidence.check(key)
        if check:
            table.add_row(
                check.title,
                valued(check.value, check.unit),
                interval(check.low, check.high, check.unit),
                valued(check.floor, check.unit),
                str(check.clusters),
                check.note,
            )
    return table


def _width() -> int | None:
    """Full width when the output is a pipe, so that logs are not cut at 80 columns."""
    return None if os.isatty(1) else 140
