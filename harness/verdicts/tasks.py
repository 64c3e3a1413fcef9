"""The axis *harm*: do task answers get worse? Judged by flips, never by means alone."""

from __future__ import annotations

import math

from harness.comparisons.tasks import TaskFacts, TaskResult
from harness.evidence.paired import items_needed
from harness.verdicts.model import AxisVerdict, Cause, Finding, Outcome

#: Loss that is taken for none, as a share of the items. Declared, not fitted: two in a hundred answers.
MARGIN = 0.02
_SUSPECT = 0.05  # adjusted p of a single task from which on nobody is cleared


def judge_tasks(facts: TaskFacts, margin: float = MARGIN) -> AxisVerdict:
    """BEYOND where answers get worse, WITHIN where the loss is at most ``margin``, else INCONCLUSIVE with the MDE.

    Two questions share ``alpha``: are all tasks together worse (exact sign flips of whole groups), and is any single one
    (Holm over the tasks). An honest candidate is accused with probability alpha at most. A loss that is surely at most the margin
    is no harm, however sure it is. WITHIN errs with probability 2.5 %, and says what it does not cover.
    """
    if not any(task.judged for task in facts.tasks):
        return AxisVerdict(axis="harm", outcome=Outcome.NOT_TESTABLE, reason=_why_not(facts))
    level, pooled = facts.alpha / 2, facts.pooled
    worse = [task for task in facts.tasks if task.judged and task.holm <= level and task.high > margin]
    if worse or (pooled.worse <= level and pooled.high > margin):
        return _beyond(facts, worse, margin)
    if not pooled.items:
        reason = (
            "The reference is right too seldom on what decides: nothing could be lost. Single aspects are no worse."
        )
        return AxisVerdict(axis="harm", outcome=Outcome.NOT_TESTABLE, reason=reason)
    doubts = _doubts(facts, margin)
    interval = f"95 % interval {_points(pooled.low)} to {_points(pooled.high)}"
    told = f"{_flips(pooled)}, a loss of {_points(pooled.loss)} points ({interval})"
    if not doubts:
        small = "a loss that is there, but" if pooled.worse <= level else "a loss that is"
        reason = (
            f"Answers get no worse: {told}, {small} at most {_points(margin)} points; {_points(pooled.smallest)} would have been "
            f"found with 80 % power.{_silent(facts)}"
        )
        return AxisVerdict(axis="harm", outcome=Outcome.WITHIN, reason=reason)
    churn = 2 * min(pooled.right_to_wrong, pooled.wrong_to_right) / pooled.items
    needed = items_needed(margin, churn, level) * pooled.items / pooled.effective
    reason = (
        f"Undecided: {told}; {'; '.join(doubts)}. The smallest loss that these items would have shown with 80 % power is "
        f"{_points(pooled.smallest)} points; about {needed:,.0f} items would show {_points(margin)}.{_silent(facts)}"
    )
    return AxisVerdict(axis="harm", outcome=Outcome.INCONCLUSIVE, reason=reason)


def _doubts(facts: TaskFacts, margin: float) -> list[str]:
    """What stands against a clearing."""
    pooled = facts.pooled
    whole = [task for task in facts.tasks if task.judged and not task.part_of]
    # what neither side answered has no right answer to lose
    gone = sum(
        task.lost_reference + task.lost_candidate - 2 * task.lost_both + task.shortened_candidate for task in whole
    )
    every = pooled.items + gone
    found = []
    if pooled.high > margin:
        found.append(f"it may be more than {_points(margin)}")
    elif pooled.high + gone / every > margin:
        found.append(f"{gone} items have no answer or a shortened prompt, and all of them may have got worse")
    if pooled.reference < pooled.smallest:
        found.append("the reference is right so seldom that the loss that would be found is more than it could lose")
    found += [
        f"{task.task} was not judged ({task.note or 'no item was answered by both sides'})"
        for task in facts.tasks
        if not task.judged and not task.vacuous and not (task.items and not task.roomy) and not task.part_of
    ]
    found += [
        f"{task.task} by itself looks worse (p = {task.holm:.2g})"
        for task in facts.tasks
        if task.judged and task.holm <= _SUSPECT and task.high > margin
    ]
    return found


def _silent(facts: TaskFacts) -> str:
    """Tasks that show nothing, for a reason that lies with the reference or the task."""
    names = [
        task.task
        for task in facts.tasks
        if task.vacuous or (task.items and not math.isnan(task.worse) and not task.roomy)
    ]
    return f" Nothing is shown by {', '.join(names)}." if names else ""


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
        if task.shortened_candidate:
            detail = (
                f"{task.task}: {task.shortened_candidate} prompts lost their beginning on the candidate's side alone"
            )
            found.append(Finding(code="TASK607", detail=detail))
        if task.lost_candidate > task.lost_reference:
            detail = (
                f"{task.task}: {task.lost_candidate} items have no answer, {task.lost_reference} of the reference's"
            )
            found.append(Finding(code="TASK605", detail=detail))
    return found


def _beyond(facts: TaskFacts, worse: list[TaskResult], margin: float) -> AxisVerdict:
    pooled = facts.pooled
    alone = f"; by itself on {', '.join(task.task for task in worse[:3])}" if worse else ""
    if not pooled.items:
        told = "; ".join(f"{task.task}: {_flips(task)} (p = {task.holm:.2g})" for task in worse[:3])
        return AxisVerdict(
            axis="harm",
            outcome=Outcome.BEYOND,
            cause=Cause.UNLISTED,
            reason=f"Answers get worse. {told}.{_silent(facts)}",
        )
    said = (
        f"Answers get worse: {_flips(pooled)}, a loss of {_points(pooled.loss)} points (95 % interval {_points(pooled.low)} to "
        f"{_points(pooled.high)}; p = {min([pooled.worse, *(task.holm for task in worse)]):.2g}){alone}.{_silent(facts)}"
    )
    if pooled.early_candidate and all(task.high_whole <= margin for task in [*worse, pooled]):
        reason = (
            f"{said} Without replies that were cut before the limit asked for the loss is at most {_points(margin)}."
        )
        return AxisVerdict(axis="harm", outcome=Outcome.BEYOND, cause=Cause.CLIPPING, reason=reason)
    return AxisVerdict(axis="harm", outcome=Outcome.BEYOND, cause=Cause.UNLISTED, reason=said)


def _why_not(facts: TaskFacts) -> str:
    vacuous = [task.task for task in facts.tasks if task.vacuous]
    if vacuous:
        return f"No task can show harm here: {', '.join(vacuous)} cannot fail on these items."
    if any(task.items and not math.isnan(task.worse) for task in facts.tasks):
        return "The reference is right too seldom on every task: nothing could be lost."
    if any(task.items for task in facts.tasks):
        return "No task has right or wrong answers per item."
    return "No item was answered by both sides."


def _flips(task: TaskResult) -> str:
    return f"{task.right_to_wrong} of {task.items} items go from right to wrong and {task.wrong_to_right} the other way"


def _points(share: float) -> str:
    return f"{100 * share:.1f}"
