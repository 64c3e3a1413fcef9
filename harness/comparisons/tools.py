"""Tool calls of a candidate beside the reference's: shares of every aspect, agreement, how replies ended. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from harness.comparisons.model import Result
from harness.comparisons.tool_replies import ASPECTS
from harness.evidence.shares import wilson
from harness.suites.scores import ItemScore

#: Why a reply has no score for an aspect that cannot be seen in it: no call, no schema.
DOES_NOT_APPLY = "does not apply to this reply"
#: How the loss of a request begins that a host did not take.
REFUSED = "refused: "
#: A request that was not reached, or not sent: ours to repeat.
NOT_ASKED = "this case was not asked, or not answered yet"
#: A metric of replies whose text holds the calls that are right, unread.
UNPARSED = "unparsed"
#: A metric of replies whose calls are right and were put together wrongly, because they share an index.
MERGED = "merged"
Scores = Mapping[str, Sequence[ItemScore]]


class Share(Result):
    """``right`` of the ``of`` replies to which an aspect applies. The 95 % interval is Wilson's.

    A case and its stream count as one and a half cases at most in it: they are not independent.
    """

    right: int
    of: int
    low: float
    high: float


class AspectShares(Result):
    """One aspect on all sides; ``control`` is None where no control was asked."""

    aspect: str
    reference: Share
    candidate: Share
    control: Share | None


class Agreement(Result):
    """Who calls a tool on the same cases: both, one side alone, nobody. ``f1`` is what vendors call trigger similarity."""

    both: int
    reference_only: int
    candidate_only: int
    neither: int

    @property
    def f1(self) -> float:
        """2 both / (both + reference's + both + candidate's); 1 where nobody calls."""
        calls = 2 * self.both + self.reference_only + self.candidate_only
        return 2 * self.both / calls if calls else 1.0


class ToolFacts(Result):
    """What a card tells beside the paired tests."""

    shares: tuple[AspectShares, ...]
    trigger: Agreement
    trigger_control: Agreement | None
    ends_reference: dict[str, int]  # replies by what their finish_reason said, and what came
    ends_candidate: dict[str, int]
    reasoning_reference: dict[str, int]  # replies by where their reasoning stood
    reasoning_candidate: dict[str, int]
    breaches: dict[str, int]  # of the protocol, by what they are
    marks: dict[str, int]  # of templates, left in texts
    refused: int  # requests that the candidate did not take and the reference did
    unanswered: int  # other requests without an answer that the reference answered
    reasons: dict[str, int]  # why there is none, the most frequent
    lost_reference: int
    reasons_reference: dict[str, int]
    early: int  # replies that ended for their length before the limit that was asked for
    early_reference: int
    lost_content: int  # cases of which what is called and said went from right to wrong
    lost_unparsed: int  # of these: replies whose text holds the right calls, unread
    lost_streamed: int  # of these: streams
    lost_merged: int = 0  # of these: streams whose right calls share an index
    silent: int  # replies that hold reasoning and nothing else


def tool_facts(reference: Scores, candidate: Scores, control: Scores | None) -> ToolFacts:
    """Everything from the stored scores."""
    lost = {one.item for one in reference.get("ends", ()) if one.lost}
    gone = [
        one.lost for one in candidate.get("ends", ()) if one.lost and one.item not in lost and one.lost != NOT_ASKED
    ]
    worse = _worse(reference.get("content", ()), candidate.get("content", ()))
    held, put = (
        {one.item for one in candidate.get("content", ()) if one.metrics.get(name)} for name in (UNPARSED, MERGED)
    )
    return ToolFacts(
        lost_content=len(worse), lost_unparsed=len(worse & held), lost_merged=len(worse & put),
        lost_streamed=len(worse & {one.item for one in candidate.get("streams", ())}),
        shares=tuple(
            AspectShares(
                aspect=aspect, reference=_share(reference.get(aspect, ())), candidate=_share(candidate.get(aspect, ())),
                control=None if control is None else _share(control.get(aspect, ())),
            )
            for aspect in ASPECTS
            if aspect in reference
        ),
        trigger=_agreement(reference, candidate),
        trigger_control=None if control is None else _agreement(reference, control),
        ends_reference=_ends(reference), ends_candidate=_ends(candidate),
        reasoning_reference=_seen(reference, "speaks"), reasoning_candidate=_seen(candidate, "speaks"),
        breaches=_parts(candidate, "protocol", "; "), marks=_parts(candidate, "marks", ", "),
        refused=sum(map(_refused, gone)), unanswered=sum(not _refused(reason) for reason in gone),
        reasons=dict(Counter(map(_general, gone)).most_common(5)), lost_reference=len(lost),
        reasons_reference=dict(Counter(_general(one.lost) for one in reference.get("ends", ()) if one.lost).most_common(3)),
        early=sum(one.early for one in candidate.get("ends", ())),
        early_reference=sum(one.early for one in reference.get("ends", ())),
        silent=sum(one.answer != "none" and one.metrics.get("right") == 0.0 for one in candidate.get("speaks", ())),
    )  # fmt: skip


def _refused(reason: str) -> bool:
    return reason.startswith(REFUSED)


def _general(reason: str) -> str:
    """A reason without what is different in every request: ids and numbers."""
    return re.sub(r"\b(?=\w*\d)[\w-]{6,}\b", "...", reason)[:160]


def _worse(reference: Sequence[ItemScore], candidate: Sequence[ItemScore]) -> set[str]:
    """Cases that go from right to wrong."""
    right = {one.item for one in reference if one.metrics.get("right") == 1.0}
    return {one.item for one in candidate if one.metrics.get("right") == 0.0} & right


def _share(scores: Sequence[ItemScore]) -> Share:
    counted = [one for one in scores if not one.lost]
    right, groups = sum(one.metrics["right"] == 1.0 for one in counted), len({one.group for one in counted})
    thin = groups / len(counted) if counted else 1.0
    low, high = wilson(right * thin, len(counted) * thin)
    return Share(right=right, of=len(counted), low=low, high=high)


def _agreement(reference: Scores, other: Scores) -> Agreement:
    theirs = {one.item: one.answer == "call" for one in other.get("trigger", ()) if not one.lost}
    pairs = [
        (one.answer == "call", theirs[one.item])
        for one in reference.get("trigger", ())
        if not one.lost and one.item in theirs
    ]
    return Agreement(
        both=pairs.count((True, True)), reference_only=pairs.count((True, False)),
        candidate_only=pairs.count((False, True)), neither=pairs.count((False, False)),
    )  # fmt: skip


def _ends(scores: Scores) -> dict[str, int]:
    """How replies ended: those that ran out of length, and what the others said."""
    cut = sum(one.cut for one in scores.get("ends", ()))
    return _seen(scores, "finish") | ({"length": cut} if cut else {})


def _seen(scores: Scores, aspect: str) -> dict[str, int]:
    return dict(Counter(one.answer for one in scores.get(aspect, ()) if not one.lost).most_common())


def _parts(scores: Scores, aspect: str, separator: str) -> dict[str, int]:
    """What was seen of an aspect, in how many replies."""
    seen = [
        part for one in scores.get(aspect, ()) if one.answer and not one.lost for part in one.answer.split(separator)
    ]
    return dict(Counter(seen).most_common(10))
