"""The verdict on self-render equivalence: one host, asked by conversations and by the reference's own prompts. Pure.

The weights cancel, because both are answered by the same host. Null: conversations become the reference's prompts. Unit: a
conversation. A host is accused if the prompts of a known fault get the answers that its conversations get, all of them, and the
reference's do not. Then one conversation is asked PAIRS times beside its prompt twice, in random order, and must be the odd one
out every time by more than the tolerance. If it were the same prompt, and both paths as noisy as each other, that had a
probability of 3 ** -PAIRS at most; where one path computes a little otherwise, tolerance and fault stand against a false name.
"""

from __future__ import annotations

from typing import Literal

from pydantic import JsonValue

from harness.comparisons.model import Result
from harness.comparisons.templates import is_plain
from harness.prompts.faults import fault
from harness.verdicts.model import AxisVerdict, Cause, Finding, Outcome
from harness.verdicts.tokens_in import GROUP_CODES, MATERIAL

#: Total variation of a first token that says nothing, and how many times the largest gap between repetitions it takes: a 4-bit
#: llama.cpp host, which rounds activations to 8 bits, is up to 0.041 apart where the prompts are the same ids.
LEAST, _TIMES = 0.05, 2.0
#: A host whose repetitions differ by more cannot be compared with itself.
_NOISY = 0.2
_FEWEST = 8  # conversations that must have been compared before equal answers mean anything
#: Repetitions of the conversation that differs most, each of which must differ by more than the prompt from itself.
PAIRS = 10
_SHOWN = 6
Stage = Literal["reference", "ids", "logprobs", "done"]


class FormRow(Result):
    """One conversation, and its prompt given three times: total variation of the first token, None with the problem."""

    case: str
    number: int
    request: dict[str, JsonValue]
    gap: float | None  # the smallest between an answer to the conversation and one to the prompt
    expected: int  # tokens of the prompt
    billed: int | None  # as the conversation's; None where it is not told
    floor: float | None  # the largest between three answers to the prompt
    problem: str = ""


class FaultRow(Result):
    """What a fault would have done to one conversation, shown on the same host."""

    fault: str
    case: str
    number: int
    from_sound: float  # between the answers to the fault's prompt and to the reference's
    from_host: float  # between the answers to the fault's prompt and to the conversation


class SelfRenderIn(Result):
    """Everything that was asked. ``stage``: ``reference`` (it renders nothing), ``ids`` (no prompts of ids are taken),
    ``logprobs`` (nothing is told of the next token), ``done``.
    """

    reference: str
    template: str
    tokenizer: str
    endpoint: str
    stage: Stage
    requests: int
    rows: tuple[FormRow, ...] = ()
    faults: tuple[FaultRow, ...] = ()
    named: tuple[str, ...] = ()  # faults whose prompts are answered as the conversations are
    exceeding: int = 0  # of PAIRS repetitions
    hidden: tuple[str, ...] = ()  # faults that change nothing but conversations that were not answered
    habits: tuple[str, ...] = ()  # what engines do on purpose and this host shows in every prompt
    unasked: tuple[str, ...] = ()  # faults that change none of these conversations

    @property
    def measured(self) -> list[FormRow]:
        """The rows that were compared."""
        return [row for row in self.rows if row.gap is not None and row.floor is not None]

    @property
    def tolerance(self) -> float:
        """Up to which answers are the same."""
        return max(LEAST, _TIMES * max((row.floor or 0.0 for row in self.measured), default=0.0))

    @property
    def differing(self) -> list[FormRow]:
        """The rows that differ, the most first."""
        found = [row for row in self.measured if (row.gap or 0.0) > self.tolerance]
        return sorted(found, key=lambda row: -(row.gap or 0.0))

    @property
    def visible(self) -> list[str]:
        """Faults that the host itself shows to be visible here: what they would have done is twice what passes for equal."""
        far = {row.fault for row in self.faults if row.from_sound > 2.0 * self.tolerance}
        return sorted(far)


def judge_self_render(evidence: SelfRenderIn) -> tuple[AxisVerdict, list[Finding]]:
    """The integrity axis, and the findings behind it."""
    early = {
        "reference": "The reference renders none of the conversations.",
        "ids": "The host takes no prompts of ids, or does not bill them as given.",
        "logprobs": "The host tells no log-probabilities of the next token, or not in both forms alike.",
    }
    if evidence.stage != "done":
        return _axis(Outcome.NOT_TESTABLE, early[evidence.stage]), []
    rows, tolerance = evidence.measured, evidence.tolerance
    if len(rows) < _FEWEST:
        return _axis(Outcome.NOT_TESTABLE, f"Only {len(rows)} of {len(evidence.rows)} conversations were answered."), []
    if tolerance > _NOISY:
        noise = max(row.floor or 0.0 for row in rows)
        return _axis(
            Outcome.NOT_TESTABLE, f"The same prompt is answered too differently ({noise:.2g} in variation)."
        ), []
    if evidence.differing:
        return _different(evidence)
    visible = evidence.visible
    equal = (
        f"{len(rows)} conversations are answered as the reference's own prompts are{_habits(evidence)}, on the same host (first "
        f"token within {tolerance:.2g} in total variation)"
    )
    apart = [row for row in rows if row.billed not in {None, row.expected}]
    if apart:
        detail = (
            f"{apart[0].case}[{apart[0].number}] is billed as {apart[0].billed} tokens instead of {apart[0].expected}"
        )
        return _axis(Outcome.INCONCLUSIVE, f"{equal}, but {detail}."), [Finding(code="INTG518", detail=detail)]
    matter = {
        name for name in {*(row.fault for row in evidence.faults), *evidence.hidden} if fault(name).severity in MATERIAL
    }
    if len(matter & set(visible)) < max(len(matter) / 3, 2):
        return _axis(Outcome.INCONCLUSIVE, f"{equal}, but so would prompts with known faults be."), []
    unseen = [*sorted({row.fault for row in evidence.faults} - set(visible)), *evidence.hidden, *evidence.unasked]
    left = (
        f"; not ruled out: {', '.join(unseen[:_SHOWN])}{' and others' if len(unseen) > _SHOWN else ''}"
        if unseen
        else ""
    )
    return _axis(Outcome.WITHIN, f"{equal}; {len(visible)} faults would have shown{left}."), []


def _different(evidence: SelfRenderIn) -> tuple[AxisVerdict, list[Finding]]:
    first = evidence.differing[0]
    head = (
        f"{len(evidence.differing)} of {len(evidence.measured)} conversations are answered otherwise than the reference's own "
        f"prompts are{_habits(evidence)}, on the same host (first token up to {first.gap:.2g} in total variation, "
        f"{evidence.tolerance:.2g} allowed)"
    )
    if evidence.named and evidence.exceeding == PAIRS and not _may_be_habit(evidence):
        told = " or ".join(fault(name).title for name in evidence.named)
        material = [fault(name).severity in MATERIAL for name in evidence.named]
        findings = [
            Finding(
                code=GROUP_CODES[fault(name).group], detail=f"{name}: {fault(name).title}; shown on the host itself"
            )
            for name in evidence.named
        ]
        outcome = Outcome.BEYOND if all(material) else Outcome.INCONCLUSIVE if any(material) else Outcome.WITHIN
        cause = Cause.TEMPLATE if outcome is Outcome.BEYOND else None
        return _axis(outcome, f"{head}; they are answered as under this fault: {told}.", cause), findings
    detail = f"{len(evidence.differing)} conversations, first {first.case}[{first.number}]; no fault of the library reproduces it"
    reason = (
        f"{head}, and no known fault explains all of it: either another prompt is made, or prompts are answered by another model "
        "than conversations are."
    )
    return _axis(Outcome.INCONCLUSIVE, reason), [Finding(code="INTG518", detail=detail)]


def _may_be_habit(evidence: SelfRenderIn) -> bool:
    """Whether an engine whose habits nobody measured may do this on purpose: a small change, to tools and parts alone or once."""
    small = min(fault(name).severity for name in evidence.named) < "S3"
    plain = [row for row in evidence.differing if is_plain(row.request)]
    return small and not (plain and len(evidence.differing) > 1)


def _habits(evidence: SelfRenderIn) -> str:
    return f" ({', '.join(evidence.habits)}, as engines do on purpose)" if evidence.habits else ""


def _axis(outcome: Outcome, reason: str, cause: Cause | None = None) -> AxisVerdict:
    return AxisVerdict(axis="integrity", outcome=outcome, cause=cause, reason=reason)
