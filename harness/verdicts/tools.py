"""The axis *harm* for tool calls: the verdict of tasks, the layer that its aspects point to, and findings by aspect."""

from __future__ import annotations

from collections.abc import Mapping

from harness.comparisons.tasks import TaskFacts, TaskResult
from harness.comparisons.tools import ToolFacts
from harness.verdicts.model import AxisVerdict, Cause, Finding, Outcome
from harness.verdicts.tasks import judge_tasks

#: Findings of aspects that a reply fails by comparison with the reference, beyond chance.
_WORSE = {"choice": "TOOL702", "arguments": "TOOL702", "schema": "TOOL703", "forced": "TOOL704", "answer": "TOOL710",
          "language": "TOOL711", "streams": "TOOL709"}  # fmt: skip
#: Aspects of form: what a host does with what the model wrote.
_FORM = {"marks": "TOOL705", "speaks": "TOOL706", "finish": "TOOL707", "protocol": "TOOL708"}


def judge_tools(facts: TaskFacts, tools: ToolFacts, margin: float) -> AxisVerdict:
    """As for tasks, on whole cases and on every aspect by itself; what is lost in form alone is the host's, not the weights'.

    Nobody is cleared whose loss of what is called and said may exceed the margin, however well the form made up for it.
    """
    verdict = judge_tasks(facts, margin)
    said = next((task for task in facts.tasks if task.task == "content"), None)
    if verdict.outcome is Outcome.WITHIN and said and not said.high <= margin:
        reason = f"Undecided: what is called and said may have lost {100 * said.high:.1f} points. {verdict.reason}"
        return verdict.model_copy(update={"outcome": Outcome.INCONCLUSIVE, "reason": reason})
    if verdict.outcome is not Outcome.BEYOND:
        return verdict
    tasks, level = {task.task: task for task in facts.tasks}, facts.alpha / 2
    worse = {name for name, task in tasks.items() if task.judged and task.holm <= level and task.high > margin}
    whole = facts.pooled.worse <= level and facts.pooled.high > margin
    ends, content = tasks.get("ends"), tasks.get("content")
    clipped = ends and 0 < ends.cut_candidate == tools.early > tools.early_reference
    if ends and worse == {"ends"} and not whole and clipped:
        cut = f"All {ends.early_candidate} replies that ended for their length were cut before the limit that was asked for."
        reason = f"{verdict.reason} {cut}"
        return verdict.model_copy(update={"cause": Cause.CLIPPING, "reason": reason})
    broken = [name for name in _FORM if name in worse]
    if broken and content and content.items and content.high <= margin:
        cause = Cause.PARSER if {"marks", "speaks"} & set(broken) else Cause.PROTOCOL
        reason = (
            f"{verdict.reason} What is called and said is the reference's (a loss of at most {100 * content.high:.1f} points); "
            f"the form in which it comes is not: {', '.join(broken)}."
        )
        return verdict.model_copy(update={"cause": cause, "reason": reason})
    lost = tools.lost_content
    if lost and tools.lost_merged == lost:
        reason = (
            f"{verdict.reason} All {lost} replies that lost what they call hold the right calls, whole, at one index of the "
            "stream: clients that keep the protocol put them together into one that is none."
        )
        return verdict.model_copy(update={"cause": Cause.PROTOCOL, "reason": reason})
    parser = _parser(worse, tools)
    if parser:
        return verdict.model_copy(update={"cause": Cause.PARSER, "reason": f"{verdict.reason} {parser}"})
    return verdict


def _parser(worse: set[str], tools: ToolFacts) -> str:
    """Why what was lost is the parser's: each of these replies shows it; empty where some do not."""
    lost = tools.lost_content
    if lost and tools.lost_unparsed == lost:
        return f"All {lost} replies that lost what they call hold the right calls in their text: nobody parsed them."
    if "streams" in worse and lost and tools.lost_streamed == lost:
        return f"All {lost} replies that lost what they call or say are streams; in one piece the same requests lose nothing."
    return ""


def tool_findings(facts: TaskFacts, tools: ToolFacts) -> list[Finding]:
    """What deserves a code, aspect by aspect."""
    tasks, level = {task.task: task for task in facts.tasks}, facts.alpha / 2
    found = []
    trigger = tasks.get("trigger")
    if trigger and trigger.churn_p <= level and trigger.churned_control >= 0:
        agreed = tools.trigger
        detail = (
            f"{agreed.reference_only} cases call for the reference alone, {agreed.candidate_only} for the candidate alone, "
            f"{agreed.both} for both (F1 {100 * agreed.f1:.1f} %); {trigger.churned_control} differ for the honest control "
            f"(p = {trigger.churn_p:.2g})"
        )
        found.append(Finding(code="TOOL701", detail=detail))
    for name, code in _WORSE.items():
        task = tasks.get(name)
        if task and task.judged and task.holm <= level:
            found.append(Finding(code=code, detail=f"{name}: {_lost(task)}, p = {task.holm:.2g}"))
    few = []
    shares = {one.aspect: one for one in tools.shares}
    for name, code in _FORM.items():
        if name not in shares or tasks[name].vacuous:
            continue
        mine, theirs = shares[name].candidate, shares[name].reference
        if not theirs.of:  # a checkpoint has no such form
            continue
        failed, usual = mine.of - mine.right, theirs.of - theirs.right
        detail = f"{failed} of {mine.of} replies, {usual} of {theirs.of} of the reference's{_examples(name, tools)}"
        if tasks[name].judged and tasks[name].holm <= level:
            found.append(Finding(code=code, detail=f"{detail}; p = {tasks[name].holm:.2g}"))
        elif failed and failed * max(theirs.of, 1) > usual * mine.of:
            few.append(f"{name}: {detail}")
    if few:
        found.append(Finding(code="TOOL714", detail="; ".join(few)[:500]))
    found += _missing(tasks, tools, level)
    reasoned = [set(one) - {"none"} for one in (tools.reasoning_reference, tools.reasoning_candidate)]
    if all(reasoned) and reasoned[0] != reasoned[1]:
        detail = f"{', '.join(sorted(reasoned[1]))}, for the reference {', '.join(sorted(reasoned[0]))}"
        found.append(Finding(code="TOOL713", detail=detail))
    found += [Finding(code="TASK604", detail=f"{task.task}: {task.vacuous}") for task in facts.tasks if task.vacuous]
    return found


def _missing(tasks: Mapping[str, TaskResult], tools: ToolFacts, level: float) -> list[Finding]:
    """Requests that were refused, and replies that ran out of length."""
    found = []
    said = "; ".join(f"{count} x {reason}" for reason, count in list(tools.reasons.items())[:2])
    if tools.refused:
        detail = f"{tools.refused} requests that the reference answered: {said}"
        found.append(Finding(code="TOOL712", detail=detail[:400]))
    if tools.unanswered:
        detail = f"{tools.unanswered} cases that the reference answered have no answer: {said}"
        found.append(Finding(code="TASK605", detail=detail[:400]))
    ends = tasks.get("ends")
    if tools.early > tools.early_reference:
        usual = f"{tools.early_reference} of the reference's"
        detail = f"{tools.early} replies ended for their length before the limit that was asked for, {usual}"
        found.append(Finding(code="TASK603", detail=detail))
    if ends and ends.judged and ends.holm <= level:
        detail = f"{ends.cut_candidate} replies ran to the limit, {ends.cut_reference} of the reference's"
        found.append(Finding(code="TASK606", detail=detail))
    return found


def _lost(task: TaskResult) -> str:
    return f"{task.right_to_wrong} of {task.items} go from right to wrong, {task.wrong_to_right} the other way"


def _examples(name: str, tools: ToolFacts) -> str:
    told: Mapping[str, int] = {"marks": tools.marks, "protocol": tools.breaches, "finish": _dishonest(tools)}.get(
        name, {}
    )
    return ": " + ", ".join(f"{seen} ({count})" for seen, count in list(told.items())[:3]) if told else ""


def _dishonest(tools: ToolFacts) -> dict[str, int]:
    honest = {"stop with no call", "tool_calls with calls", "length"}
    return {seen: count for seen, count in tools.ends_candidate.items() if seen not in honest}
