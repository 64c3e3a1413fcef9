"""A verdict for a reader who knows nothing of statistics: what was found, how far it is, and what that feels like."""

from __future__ import annotations

import math

from harness.reports.scorecard import CandidateCard
from harness.verdicts.model import Outcome

_HEADS = {
    Outcome.WITHIN: "As claimed, as far as this run can see",
    Outcome.BEYOND: "Not as claimed",
    Outcome.INCONCLUSIVE: "Not decided",
    Outcome.NOT_TESTABLE: "Could not be tested",
    Outcome.NOT_RUN: "Was not tested",
}


def head(card: CandidateCard) -> str:
    """The verdict in a few words; a policy's verdict speaks of its bounds and not of the claim."""
    policy, outcome = card.evidence.policy, card.verdict.outcome
    beyond = [axis.axis for axis in card.verdict.axes if axis.outcome is Outcome.BEYOND]
    if policy and outcome is Outcome.WITHIN and policy.status == "passed":
        return "Inside every bound that was set"
    if policy and policy.status == "failed" and beyond == ["displacement"]:
        return "Outside a bound that was set"
    return _HEADS[outcome]


def everyday(card: CandidateCard) -> list[str]:
    """Up to three sentences with a number of everyday size; empty where no distribution was measured."""
    evidence = card.evidence
    told = []
    broken = void(card)
    if broken:
        return [broken]
    first, drawn = evidence.check("top1_agreement"), evidence.check("ear")
    if evidence.all_zero:
        return ["Every next-token distribution is the reference's own, to the last digit."]
    if first and first.value == first.value:
        told.append(f"Its first choice for the next token is the reference's in {_of_hundred(first.value)}.")
    if drawn and drawn.value == drawn.value:
        told.append(
            f"Drawing at temperature 1, the two can be made to agree in {_of_hundred(drawn.value)} at best; "
            "the rest is what every user would get from another distribution."
        )
    ladder = evidence.ladder
    if ladder:
        bits = "" if ladder.note or math.isnan(ladder.bits) else f"{ladder.bits:.1f}"
        if "closer" in ladder.note:
            bits = f"more than {ladder.rungs[-1][0]:.0f}"
        elif "further" in ladder.note:
            bits = f"fewer than {ladder.rungs[0][0]:.0f}"
    if ladder and bits:
        told.append(f"It is as far from the reference as a plain rounding of the reference to {bits} bits per weight.")
    return told


def void(card: CandidateCard) -> str:
    """What no mean can hold: tokens whose divergence is infinite or not a number; empty where there are none."""
    evidence = card.evidence
    broken = evidence.violations + evidence.non_finite
    if not broken:
        return ""
    return (
        f"At {broken:,} of {evidence.tokens:,} tokens it has no finite divergence: its numbers are broken, or it rules out what "
        "the reference can say. Means leave these tokens out, so they say too little."
    )


def _of_hundred(share: float) -> str:
    value = 100 * share
    if value >= 99.95 and value < 100:
        return f"all but {1000 * (1 - share):.2g} of 1,000 cases"
    return f"{value:.1f} of 100 cases"


def parted(one: str, other: str) -> tuple[str, str, str]:
    """What two texts share from their beginning, and how each goes on."""
    shared = 0
    while shared < min(len(one), len(other)) and one[shared] == other[shared]:
        shared += 1
    return one[:shared], one[shared:], other[shared:]
