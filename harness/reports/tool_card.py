"""What the terminal shows of tool calls: every aspect on both sides, who calls when, how replies end."""

from __future__ import annotations

import math

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.comparisons.tasks import TaskFacts, TaskResult
from harness.comparisons.tools import AspectShares, Share, ToolFacts
from harness.redact import safe_line

#: What each aspect asks, in a few words.
TITLES = {
    "case": "whole case is right", "content": "what is called and said", "trigger": "calls where it has to, and only there",
    "forced": "keeps tool_choice", "choice": "right tools", "arguments": "right arguments", "schema": "calls fit their schemas",
    "answer": "answers from results", "language": "script of the question", "speaks": "says or calls something",
    "marks": "no marks of the template", "finish": "finish_reason says what came", "protocol": "keeps the protocol",
    "streams": "streams call the same", "ends": "ends before the limit",
}  # fmt: skip


def print_tools(facts: TaskFacts, tools: ToolFacts, console: Console, *, controlled: bool) -> None:
    """Print the aspects, and what is known of calls and ends beside them."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    names = [
        "aspect",
        "reference, 95 % interval",
        "candidate, 95 % interval",
        "lost/won",
        "p",
        "would have seen",
        "changed",
    ]
    for name in [*names, *(["control"] if controlled else [])]:
        table.add_column(name, justify="left" if name == "aspect" else "right")
    tasks = {task.task: task for task in facts.tasks}
    for one in tools.shares:
        if one.aspect in tasks:
            cells = _cells(one, tasks[one.aspect], controlled=controlled)
            table.add_row(*map(Text, cells), style="bold" if one.aspect == "case" else "")
    console.print(table)
    for line in told(tools):
        console.print(Text(f"  {safe_line(line, 400)}", style="dim"))


def told(tools: ToolFacts) -> list[str]:
    """Agreement of calls, ends and places of reasoning, in sentences."""
    calls = tools.trigger
    control = f" (the control's {100 * tools.trigger_control.f1:.1f} %)" if tools.trigger_control else ""
    found = [
        f"A tool is called by both in {calls.both} cases, by the reference alone in {calls.reference_only}, by the candidate "
        f"alone in {calls.candidate_only}, by neither in {calls.neither}: F1 {100 * calls.f1:.1f} %{control}.",
        f"How replies end: reference {_counts(tools.ends_reference)}; candidate {_counts(tools.ends_candidate)}.",
    ]
    if tools.reasons:
        why = "; ".join(f"{count} x {reason}" for reason, count in tools.reasons.items())
        lost = tools.refused + tools.unanswered
        found.append(f"Without an answer of the candidate, though the reference answered: {lost} ({why}).")
    if tools.lost_reference:
        why = "; ".join(f"{count} x {reason}" for reason, count in tools.reasons_reference.items())
        found.append(f"Without an answer of the reference: {tools.lost_reference} ({why}).")
    if tools.silent:
        found.append(f"Reasoning and nothing else: {tools.silent} of the candidate's replies.")
    reasoned = (tools.reasoning_reference, tools.reasoning_candidate)
    if any(set(one) - {"none"} for one in reasoned):
        ours, theirs = map(_counts, reasoned)
        found.append(f"Where reasoning stands: reference {ours}; candidate {theirs}.")
    return found


def _counts(seen: dict[str, int]) -> str:
    return ", ".join(f"{count} x {what}" for what, count in seen.items()) or "nothing came"


def share_text(share: Share) -> str:
    """A share as counts with its interval."""
    if not share.of:
        return "-"
    return f"{share.right} of {share.of} ({100 * share.low:.0f} to {100 * share.high:.0f} %)"


def _cells(shares: AspectShares, task: TaskResult, *, controlled: bool) -> list[str]:
    judged = task.judged
    cells = [
        TITLES.get(shares.aspect, shares.aspect), share_text(shares.reference), share_text(shares.candidate),
        f"{task.right_to_wrong}/{task.wrong_to_right}" if judged else "-",
        "vacuous" if task.vacuous else f"{task.holm:.2g}" if judged else "-",
        f"{100 * task.smallest:+.1f}" if judged and math.isfinite(task.smallest) else "-", str(task.churned),
    ]  # fmt: skip
    return [*cells, *([str(task.churned_control) if task.churned_control >= 0 else "-"] if controlled else [])]
