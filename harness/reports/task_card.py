"""The result of a task run: the one JSON, and what the terminal shows of it."""

from __future__ import annotations

import math
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.comparisons.model import Result
from harness.comparisons.tasks import TaskFacts, TaskResult
from harness.comparisons.tools import ToolFacts
from harness.redact import safe_line
from harness.reports.tool_card import print_tools
from harness.suites.scores import SelfCheck, TaskHead
from harness.verdicts.catalogue import entry
from harness.verdicts.model import AxisVerdict, Finding, Outcome, exit_code, worst

TASK_CARD_VERSION = 1
_COLOURS = {Outcome.WITHIN: "green", Outcome.BEYOND: "red"}
_SHOWN = 3


class CandidateTasks(Result):
    """One candidate: facts, verdict on the axis harm, findings."""

    label: str
    spec: str
    facts: TaskFacts
    verdict: AxisVerdict
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()  # what holds for all of its answers
    tools: ToolFacts | None = None  # where tools were offered


class TaskCard(Result):
    """All candidates of one run, and what the numbers rest on."""

    task_card_version: int = TASK_CARD_VERSION
    fidelity_version: str
    run: str
    plan_digest: str
    reference: str
    control: str  # the honest control, empty where none was asked
    tasks: tuple[TaskHead, ...]
    chat: bool
    margin: float
    alpha: float
    checks: tuple[SelfCheck, ...]
    candidates: tuple[CandidateTasks, ...]
    software: dict[str, str]
    partial: bool = False  # some requests were not reached: the same command goes on

    @property
    def asked(self) -> str:
        """How much was asked, and how."""
        items = sum(head.items for head in self.tasks if not head.part_of)
        if any(one.tools for one in self.candidates):
            return f"{items} cases that offer tools; replies of at most {self.tasks[0].limit:,} tokens"
        return f"{items} items of {len(self.tasks)} tasks, asked {'as conversations' if self.chat else 'as plain text'}"

    @property
    def outcome(self) -> Outcome:
        """The worst of the candidates' outcomes."""
        return worst([one.verdict.outcome for one in self.candidates])

    @property
    def exit_code(self) -> int:
        """0 within, 1 beyond, 3 undecided or not testable."""
        return exit_code(self.outcome)


def print_task_card(card: TaskCard, folder: Path, console: Console) -> None:
    """Print a card; the last lines are the verdicts."""
    console.print(Text(card.asked, style="dim"))
    if card.control:
        console.print(Text(f"honest control: {safe_line(card.control)}", style="dim"))
    for one in card.candidates:
        console.print(Text(f"\n{safe_line(one.label)} against {safe_line(card.reference)}", style="bold"))
        for note in one.notes:
            console.print(Text(f"  {safe_line(note, 300)}", style="yellow"))
        if one.tools:
            print_tools(one.facts, one.tools, console, controlled=bool(card.control))
        else:
            console.print(_table(one.facts, controlled=bool(card.control)))
        for flip in one.facts.examples[:_SHOWN]:
            said = f"{safe_line(repr(flip.reference), 60)} -> {safe_line(repr(flip.candidate), 60)}"
            console.print(Text(f"  {safe_line(flip.item, 60)}: {flip.kind}, {said}", style="dim"))
        for finding in one.findings:
            about = entry(finding.code)
            console.print(Text(f"  {finding.code} {about.severity} {about.title}: {safe_line(finding.detail, 300)}"))
            console.print(Text(f"      fix: {about.fix}", style="dim"))
        console.print(Text(safe_line(one.verdict.reason, 600), style=_COLOURS.get(one.verdict.outcome, "yellow")))
    if card.partial:
        console.print(Text("\nSome requests were not answered yet; the same command goes on.", style="yellow"))
    page = folder / "report.html"
    for one in card.candidates:
        cause = f" cause={one.verdict.cause}" if one.verdict.cause else ""
        print(f"harm of {safe_line(one.label)}: {one.verdict.outcome}{cause}")  # noqa: T201 - the result
    print(f"VERDICT: {card.outcome} exit={card.exit_code} report={page}", flush=True)  # noqa: T201 - the last line


def _table(facts: TaskFacts, *, controlled: bool) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    names = [
        "task",
        "n",
        "reference",
        "candidate",
        "loss, 95 % interval",
        "lost/won",
        "p",
        "would have seen",
        "changed",
    ]
    for name in [*names, *(["control"] if controlled else [])]:
        table.add_column(name, justify="left" if name == "task" else "right")
    for task in (*facts.tasks, facts.pooled):
        table.add_row(*map(Text, _cells(task, controlled=controlled)), style="bold" if task is facts.pooled else "")
    return table


def _cells(task: TaskResult, *, controlled: bool) -> list[str]:
    p = task.holm if not math.isnan(task.holm) else task.worse
    cells = [
        safe_line(task.task, 40), str(task.items), _percent(task.reference), _percent(task.candidate),
        f"{_points(task.loss)} ({_points(task.low)} to {_points(task.high)})",
        f"{task.right_to_wrong}/{task.wrong_to_right}" if task.judged else "-",
        "vacuous" if task.vacuous else f"{p:.2g}" if task.judged else "-",
        _points(task.smallest) if task.judged else "-", str(task.churned),
    ]  # fmt: skip
    return [*cells, *([str(task.churned_control) if task.churned_control >= 0 else "-"] if controlled else [])]


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.1f} %"


def _points(share: float) -> str:
    return "-" if not math.isfinite(share) else f"{100 * share:+.1f}"
