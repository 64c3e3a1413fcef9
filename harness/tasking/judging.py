"""Judges stored runs; needs neither model nor items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness import __version__
from harness.comparisons.tasks import compare_tasks
from harness.comparisons.tools import tool_facts
from harness.reports.task_card import CandidateTasks, TaskCard
from harness.suites.scores import ItemScore, SelfCheck
from harness.tasking.planning import MISSING, TaskPlan, TaskTarget
from harness.tasking.store import TaskFolder
from harness.verdicts.tasks import judge_tasks, task_findings
from harness.verdicts.tools import judge_tools, tool_findings

Scores = Mapping[str, Sequence[ItemScore]]


def judge(folder: TaskFolder) -> TaskCard:
    """Judge a stored run again and rewrite its page."""
    plan = folder.plan
    scores, checks = folder.scores()
    control = next((scores[target.key] for target in plan.targets if target.role == "control"), None)
    card = TaskCard(
        fidelity_version=__version__, run=folder.folder.name, plan_digest=plan.digest, reference=plan.targets[0].label,
        control=next((target.label for target in plan.targets if target.role == "control"), ""),
        tasks=plan.tasks, chat=plan.chat, margin=plan.margin, alpha=plan.alpha, checks=tuple(checks.values()),
        candidates=tuple(
            _candidate(plan, target, scores["reference"], scores[target.key], control, checks, _notes(folder, target))
            for target in plan.candidates
        ),
        software=plan.software, partial=folder.partial,
    )  # fmt: skip
    folder.keep_card(card)
    return card


def _notes(folder: TaskFolder, target: TaskTarget) -> tuple[str, ...]:
    """What holds for a target's answers; what was not reached is told while it is missing."""
    own = [note for note in folder.notes(target.key) if folder.partial or not note.startswith(MISSING)]
    others = [f"of the reference: {note}" for note in folder.notes("reference") if not note.startswith(MISSING)]
    return (*own, *others)


def _candidate(
    plan: TaskPlan, target: TaskTarget, reference: Scores, own: Scores, control: Scores | None,
    checks: Mapping[str, SelfCheck], notes: tuple[str, ...],
) -> CandidateTasks:  # fmt: skip
    facts = compare_tasks(plan.tasks, reference, own, control, checks, plan.alpha, plan.seed)
    if plan.kind == "tasks":
        return CandidateTasks(
            label=target.label, spec=target.spec, facts=facts, verdict=judge_tasks(facts, plan.margin),
            findings=tuple(task_findings(facts)), notes=notes,
        )  # fmt: skip
    tools = tool_facts(reference, own, control)
    return CandidateTasks(
        label=target.label, spec=target.spec, facts=facts, verdict=judge_tools(facts, tools, plan.margin),
        findings=tuple(tool_findings(facts, tools)), notes=notes, tools=tools,
    )  # fmt: skip
