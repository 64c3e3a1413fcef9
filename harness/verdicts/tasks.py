"""The axis *harm*: do task answers get worse? Judged by flips, never by means alone."""

from __future__ import annotations

from harness.comparisons.tasks import TaskFacts, TaskResult
from harness.evidence.paired import items_needed
from harness.verdicts.model import AxisVerdict, Cause, Finding, Outcome

#: Loss that is taken for none, as a share of the items. Declared, not fitted: two in a hundred answers.
MARGIN = 0.02


def judge_tasks(facts: TaskFacts, margin: float = MARGIN) -> AxisVerdict:
    """BEYOND where answers get worse, WITHIN where the loss is at most ``margin``, else INCONCLUSIVE with the MDE.

    Two questions share ``alpha``: are all tasks together worse (exact sign flips of whole groups), and is any single one
    (Holm over the tasks). A honest candidate is accused with probability alpha at most.
    """
    if not any(task.judged for task in facts.tasks):
        return AxisVerdict(axis="harm", outcome=Outcome.NOT_TESTABLE, reason=_why_not(facts))
    level, pooled = facts.alpha / 2, facts.pooled
    worse = [task for task in facts.tasks if task.judged and task.holm <= level]
    if pooled.worse <= level or worse:
        return _beyond(facts, worse, level)
    unseen = pooled.lost_candidate / (pooled.items + pooled.lost_candidate)  # all of them may have got worse
    if pooled.high + unseen <= margin:
        reason = (
            f"Answers get no worse: {_flips(pooled)}, a loss of {_points(pooled.loss)} points (95 % interval "
            f"{_points(pooled.low)} to {_points(pooled.high)}), at most {_points(margin)}; a loss of {_points(pooled.smallest)} "
            "would have been found with 80 % power."
        )
        return AxisVerdict(axis="harm", outcome=Outcome.WITHIN, reason=reason)
    needed = items_needed(margin, (pooled.right_to_wrong + pooled.wrong_to_right) / pooled.items, level)
    reason = (
        f"Undecided: {_flips(pooled)}, a loss of {_points(pooled.loss)} points (95 % interval {_points(pooled.low)} to "
        f"{_points(pooled.high)}), which may be more than {_points(margin)}. The smallest loss that these items would have "
        f"shown with 80 % power is {_points(pooled.smallest)} points; about {needed:,} items would show {_points(margin)}."
    )
    return AxisVerdict(axis="harm", outcome=Outcome.INCONCLUSIVE, reason=reason)


def task_findings(facts: TaskFacts) -> list[Finding]:
    """What deserves a code: losses, changed answers, replies that were cut, tasks that say nothing."""
    found = []
    level = facts.alpha / 2
    for task in facts.tasks:
        if task.judged and task.holm <= level:
            found.append(Finding(code="TASK601", detail=f"{task.task}: {_flips(task)}, p = {task.holm:.2g}"))
        if task.churn_p <= level and task.churned_control >= 0:
            detail = f"{task.task}: {task.churned} of {task.items} answers differ, {task.churned_control} of the honest control's"
            found.append(Finding(code="TASK602", detail=detail))
        if task.early_candidate:
            detail = f"{task.task}: {task.early_candidate} replies ended for their length before the limit that was asked for"
            found.append(Finding(code="TASK603", detail=detail))
        if task.cut_candidate - task.early_candidate > 2 * task.cut_reference + 2:
            detail = (
                f"{task.task}: {task.cut_candidate} replies ran to the limit, {task.cut_reference} of the reference's"
            )
            found.append(Finding(code="TASK606", detail=detail))
        if task.vacuous:
            found.append(Finding(code="TASK604", detail=f"{task.task}: {task.vacuous}"))
        if task.lost_candidate > task.lost_reference:
            detail = (
                f"{task.task}: {task.lost_candidate} items have no answer, {task.lost_reference} of the reference's"
            )
            found.append(Finding(code="TASK605", detail=detail))
    return found


def _beyond(facts: TaskFacts, worse: list[TaskResult], level: float) -> AxisVerdict:
    pooled = facts.pooled
    alone = f"; by itself on {', '.join(task.task for task in worse[:3])}" if worse else ""
    said = (
        f"Answers get worse: {_flips(pooled)}, a loss of {_points(pooled.loss)} points (95 % interval {_points(pooled.low)} to "
        f"{_points(pooled.high)}; p = {min([pooled.worse, *(task.holm for task in worse)]):.2g}){alone}."
    )
    if pooled.early_candidate and not any(task.worse_whole <= level for task in [*worse, pooled]):
        reason = f"{said} Without replies that were cut before the limit that was asked for nothing is lost."
        return AxisVerdict(axis="harm", outcome=Outcome.BEYOND, cause=Cause.CLIPPING, reason=reason)
    return AxisVerdict(axis="harm", outcome=Outcome.BEYOND, cause=Cause.UNLISTED, reason=said)


def _why_not(facts: TaskFacts) -> str:
    vacuous = [task.task for task in facts.tasks if task.vacuous]
    if vacuous:
        return f"No task can show harm here: {', '.join(vacuous)} cannot fail on these items."
    if any(task.items for task in facts.tasks):
        return "No task has right or wrong answers per item."
    return "No item was answered by both sides."


def _flips(task: TaskResult) -> str:
    return f"{task.right_to_wrong} of {task.items} items go from right to wrong and {task.wrong_to_right} the other way"


def _points(share: float) -> str:
    return f"{100 * share:.1f}"
