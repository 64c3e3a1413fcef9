"""Gates on a terminal: what was held against which bound, and what would decide."""

from __future__ import annotations

import os
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.numbers import percent_level
from harness.redact import safe_line
from harness.reports.scorecard import CandidateCard, Scorecard, verdict_line
from harness.verdicts.gates.reading import PolicyReading, Status
from harness.verdicts.gates.telling import gate_interval, gate_value

_COLOURS: dict[Status, str] = {"passed": "green", "failed": "red", "undecided": "yellow"}


def gate_table(reading: PolicyReading) -> Table:
    """A row per gate."""
    table = Table(box=None, padding=(0, 2), pad_edge=True)
    level = percent_level(1 - 2 * reading.policy.alpha)
    for title in ("gate", "value", f"{level} interval", "against", "docs", "reading", "note"):
        table.add_column(
            title, justify="right" if title in {"value", f"{level} interval", "docs"} else "left", overflow="fold"
        )
    for gate in reading.gates:
        more = f"about {gate.more:,} more documents would decide" if gate.more else ""
        table.add_row(
            gate.gate.text, gate_value(gate), gate_interval(gate), safe_line(gate.against, 40), str(gate.documents or "-"),
            Text(gate.status, style=_COLOURS[gate.status]), safe_line("; ".join(filter(None, (more, gate.note))), 120),
        )  # fmt: skip
    return table


def policy_note(reading: PolicyReading) -> str:
    """Which policy, when it was set, and how often it fails a candidate that is at its bounds."""
    policy = reading.policy
    name = f"policy '{safe_line(policy.name, 80)}', " if policy.name else ""
    when = "set before the run" if reading.frozen else "given after the run"
    return f"{name}{when}; a candidate at its bounds fails with probability at most {100 * policy.alpha:.3g} %"


def print_gates(scorecard: Scorecard, folder: Path) -> None:
    """Print what a policy says of a run; the last line is the verdict."""
    console = Console(soft_wrap=False, highlight=False, width=None if os.isatty(1) else 140)
    if scorecard.partial:
        console.print(Text(f"only part of the run: {scorecard.partial}", style="yellow"))
    for card in scorecard.candidates:
        _print_candidate(console, card)
    leading = next((c for c in scorecard.candidates if c.verdict.outcome is scorecard.outcome), None)
    cause = str(leading.verdict.cause) if leading and leading.verdict.cause else ""
    print(verdict_line(scorecard.outcome, cause, scorecard.exit_code, str(folder / "report.html")), flush=True)  # noqa: T201


def _print_candidate(console: Console, card: CandidateCard) -> None:
    evidence, verdict = card.evidence, card.verdict
    head = Text(safe_line(evidence.label), style="bold").append(f"  claimed {safe_line(evidence.claim)}  ", style="dim")
    console.print(head.append(f"{verdict.outcome}{f' cause={verdict.cause}' if verdict.cause else ''}"))
    if evidence.policy:
        console.print(gate_table(evidence.policy))
        console.print(Text(f"  {policy_note(evidence.policy)}", style="dim"))
    others = [axis for axis in verdict.axes if axis.outcome is verdict.outcome and axis.axis != "displacement"]
    if not evidence.policy or others:
        console.print(Text(f"  {safe_line(verdict.sentence, 600)}"))
