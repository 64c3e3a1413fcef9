"""The verdict on billed prompt tokens: counts can accuse only by a fault that reproduces every one of them. Pure."""

from __future__ import annotations

from typing import Literal

from harness.comparisons.counts import CountRow
from harness.comparisons.model import Result
from harness.comparisons.templates import is_plain
from harness.prompts.faults import fault
from harness.verdicts.model import AxisVerdict, Cause, Finding, Outcome
from harness.verdicts.tokens_in import GROUP_CODES, MATERIAL

_FEWEST = 8  # probes that must have been billed before equal counts mean anything
_CUT = 0.8  # a long text billed with less than this share of its tokens was cut
_BILLING = 2  # tokens by which every request may be billed otherwise without meaning anything
_FOREIGN = 2  # sorts of text that must grow otherwise before the tokenizer is doubted
_SHOWN = 3


class Explanation(Result):
    """One or two faults that reproduce every count, under the rules of an engine (empty: the reference's)."""

    engine: str
    faults: tuple[str, ...]
    rules: tuple[str, ...] = ()  # the engine's deviations that come with them

    @property
    def severity(self) -> str:
        """The worst of its faults."""
        return max(fault(name).severity for name in self.faults)

    @property
    def sentence(self) -> str:
        """In words."""
        under = f" (under {self.engine}'s own rules)" if self.engine else ""
        return " and ".join(fault(name).title for name in self.faults) + under


class CountsIn(Result):
    """Everything that was asked of an endpoint that shows nothing but its bill.

    ``stage`` is how far the probe came: ``reference`` (it renders nothing), ``usage`` (no counts), ``repeat`` (counts
    that change), ``done``. ``faults`` is the number of faults that change this family's prompts at all; of these
    ``invisible`` moved no count that was asked, and ``unasked`` would have moved one that the budget left out.
    """

    reference: str
    template: str
    tokenizer: str
    endpoint: str
    stage: Literal["reference", "usage", "repeat", "done"]
    rows: tuple[CountRow, ...]
    requests: int
    explanations: tuple[Explanation, ...] = ()
    engine: str = ""
    deviations: tuple[str, ...] = ()
    structure: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    faults: int = 0
    invisible: tuple[str, ...] = ()
    unasked: tuple[str, ...] = ()

    def kind(self, *kinds: str) -> list[CountRow]:
        """The rows of some kinds that were billed."""
        return [row for row in self.rows if row.kind in kinds and row.billed is not None]


def judge_counts(evidence: CountsIn) -> tuple[AxisVerdict, list[Finding]]:
    """The integrity axis, and the findings behind it."""
    early = _ended_early(evidence)
    if early:
        return early
    rows = evidence.kind("slope", "probe")
    probes = evidence.kind("probe")
    different = [row for row in rows if row.difference]
    if evidence.explanations:
        return _named(evidence, different)
    if not _unexplained(evidence):
        return _equal(evidence, len(probes))
    long = next((row for row in evidence.kind("slope") if row.case == "long"), None)
    others = [sort for sort in evidence.foreign if sort != "long"]
    if long and long.billed is not None and long.billed < _CUT * long.expected and not others:
        detail = f"a text of {long.expected} tokens is billed as {long.billed}, shorter ones are billed right"
        reason = f"The host cuts prompts: {detail}."
        return _axis(Outcome.BEYOND, reason, Cause.CLIPPING), [Finding(code="INTG505", detail=detail)]
    if len(others) >= _FOREIGN:
        detail = f"{', '.join(others)} grow otherwise than with the reference's tokenizer"
        reason = "Tokens are counted with another tokenizer than the reference's, so the counts say nothing of prompts."
        return _axis(Outcome.NOT_TESTABLE, reason), [Finding(code="INTG503", detail=detail)]
    reading = f"; they are {' or '.join(evidence.structure[:_SHOWN])}" if evidence.structure else ""
    where = f"{len(different)} of {len(rows)} requests, first {different[0].case}: {different[0].difference:+d} tokens"
    reason = f"Counts differ in {len(different)} of {len(rows)} requests and no known fault reproduces them{reading}."
    return _axis(Outcome.INCONCLUSIVE, reason), [Finding(code="TMPL120", detail=where + reading)]


def _unexplained(evidence: CountsIn) -> bool:
    """Whether counts differ beyond what an engine documents."""
    return not evidence.deviations and any(row.difference for row in evidence.kind("slope", "probe"))


def _ended_early(evidence: CountsIn) -> tuple[AxisVerdict, list[Finding]] | None:
    problems = [row.problem for row in evidence.rows if row.billed is None]
    if evidence.stage == "reference":
        return _axis(Outcome.NOT_TESTABLE, "The reference does not render a plain user message."), []
    if evidence.stage == "usage":
        said = problems[-1] if problems else "nothing"
        reason = f"The host tells no prompt token counts: {said}."
        return _axis(Outcome.NOT_TESTABLE, reason), [Finding(code="INTG501", detail=said)]
    if evidence.stage == "repeat":
        billed = [str(row.billed) for row in evidence.rows if row.kind == "repeat"]
        detail = f"the same request was billed with {', '.join(billed)} prompt tokens"
        reason = f"Counts are not repeatable: {detail}."
        return _axis(Outcome.NOT_TESTABLE, reason), [Finding(code="INTG502", detail=detail)]
    probes = evidence.kind("probe")
    if len(probes) < _FEWEST:
        said = f"; the last refusal: {problems[-1]}" if problems else ""
        return _axis(Outcome.NOT_TESTABLE, f"The host billed only {len(probes)} of the probes{said}."), []
    return None


def _named(evidence: CountsIn, different: list[CountRow]) -> tuple[AxisVerdict, list[Finding]]:
    """A fault reproduces every count; it accuses if every explanation is material and more than one count moved."""
    total = len(evidence.explanations)
    tie = f", in a tie of {total}" if total > 1 else ""
    where = f"{len(different)} of {len(evidence.kind('slope', 'probe'))} requests, first {different[0].case}"
    findings = [
        Finding(
            code=GROUP_CODES[fault(one.faults[0]).group],
            detail=f"{'+'.join(one.faults)}: {one.sentence} ({where}{tie})",
        )
        for one in evidence.explanations[:_SHOWN]
    ]
    sentences = " or ".join(dict.fromkeys(one.sentence for one in evidence.explanations[:_SHOWN]))
    more = f" or one of {total - _SHOWN} others" if total > _SHOWN else ""
    reason = f"{len(different)} requests are billed otherwise, exactly as if {sentences}{more}."
    severities = {one.severity for one in evidence.explanations}
    if not severities & set(MATERIAL):
        return _axis(Outcome.WITHIN, f"{reason} That is not known to matter."), findings
    why, offsets = "", [row.difference for row in evidence.rows if row.billed is not None]
    if len(different) == 1:
        why = "a single count is too little to accuse"
    elif len(set(offsets)) == 1 and abs(offsets[0]) <= _BILLING:
        why = "a way of billing can add as much to every request"
    elif not severities <= set(MATERIAL):
        why = "not every reading of it matters"
    elif "S2" in severities and not any(is_plain(row.request) for row in different):
        why = "all of these are requests that engines prepare by rules of their own, and plain ones are billed as expected"
    if why:
        return _axis(Outcome.INCONCLUSIVE, f"{reason} But {why}."), findings
    cause = {GROUP_CODES[fault(one.faults[0]).group] for one in evidence.explanations}
    return _axis(Outcome.BEYOND, reason, Cause.TOKENIZER if cause == {"TOKN110"} else Cause.TEMPLATE), findings


def _equal(evidence: CountsIn, probes: int) -> tuple[AxisVerdict, list[Finding]]:
    findings = []
    rules = ""
    if evidence.deviations:
        rules = f" under the rules that {evidence.engine} documents"
        detail = f"{', '.join(evidence.deviations)}, as {evidence.engine} documents"
        findings.append(Finding(code="TMPL115", detail=detail))
    ruled_out = evidence.faults - len(evidence.invisible)
    reason = (
        f"All {probes} probes are billed as the reference's prompts{rules}. That rules out {ruled_out} of the "
        f"{evidence.faults} known faults that change this family's prompts; {len(evidence.invisible)} move no count."
    )
    return _axis(Outcome.WITHIN, reason), findings


def _axis(outcome: Outcome, reason: str, cause: Cause | None = None) -> AxisVerdict:
    return AxisVerdict(axis="integrity", outcome=outcome, cause=cause, reason=reason)
