"""From trials of an endpoint to findings and, where it surely does otherwise than it is told, an accusation."""

from __future__ import annotations

from harness.comparisons.parameters import ParameterFacts
from harness.targets.endpoint.probe import State
from harness.verdicts.model import AxisVerdict, Cause, Finding, Outcome

_STUCK = {
    "greedy": "temperature is ignored: every reply is that of temperature 0",
    "stored": "the same request is answered with the same text at temperature 1: replies are stored, or not sampled",
    "random": "temperature is ignored: replies at temperature 0 are drawn",
}


def parameter_findings(facts: ParameterFacts) -> tuple[Finding, ...]:
    """What the trials found; parameters that are ignored are told with the others that are."""
    found = []
    if facts.stuck:
        found.append(Finding(code="INTG513", detail=_STUCK[facts.stuck]))
    if facts.clipped:
        found.append(Finding(code="INTG514", detail=f"after {facts.clipped:,} tokens"))
    if facts.blind_from:
        detail = f"at {facts.blind_from:,} tokens; at {facts.sees_to:,} it is"
        found.append(Finding(code="INTG515", detail=detail))
    if facts.stream_differs:
        found.append(Finding(code="INTG516", detail=_detail(facts, "streams the same text")))
    if any(row.name == "finish_reason" and row.state is State.IGNORED for row in facts.rows):
        found.append(Finding(code="INTG517", detail=_detail(facts, "finish_reason")))
    return tuple(found)


def judge_parameters(facts: ParameterFacts) -> AxisVerdict:
    """The integrity axis as far as parameters go.

    BEYOND only for replies that are cut at one length without a word. Sampling that ignores the temperature, and prompts whose
    beginning seems not to be seen, are findings that keep a host from being cleared: some models say the same every time, or
    forget what is far away, and whether this one does is for the text's own tests to say. Parameters that a host takes and
    ignores are findings: OpenAI's own form does not know all of them.
    """
    if facts.clipped:
        said = f"By its effects: replies are cut after {facts.clipped:,} tokens, though more were asked for."
        return AxisVerdict(axis="integrity", outcome=Outcome.BEYOND, cause=Cause.CLIPPING, reason=said)
    done = [row.name for row in facts.rows if row.state is State.YES]
    left = [row.name for row in facts.rows if row.state is not State.YES]
    odd = _STUCK.get(facts.stuck, "")
    if facts.blind_from:
        odd = odd or f"the beginning of prompts of {facts.blind_from:,} tokens seems not to be seen"
    if odd or any(row.name == "finish_reason" and row.state is State.IGNORED for row in facts.rows):
        said = odd or "finish_reason does not say that a reply ran out of length"
        return AxisVerdict(
            axis="integrity", outcome=Outcome.INCONCLUSIVE, reason=f"By its effects: {said}. Not cleared by them."
        )
    return AxisVerdict(
        axis="integrity",
        outcome=Outcome.WITHIN if "temperature" in done else Outcome.NOT_TESTABLE,
        reason=f"It does as it is told: {', '.join(done) or 'nothing shown'}. Not shown: {', '.join(left) or 'nothing'}.",
    )


def _detail(facts: ParameterFacts, name: str) -> str:
    return next((row.detail for row in facts.rows if row.name == name), "")
