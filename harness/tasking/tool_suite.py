"""The suite of tool calls, as a task run asks and scores it: every aspect of a reply is a task of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.comparisons.tool_plants import right_reply, wrong_reply
from harness.comparisons.tool_replies import ASPECTS, Mark, cut_early, mark_reply, merged, unparsed
from harness.comparisons.tools import DOES_NOT_APPLY, MERGED, NOT_ASKED, UNPARSED
from harness.identity import digest_json
from harness.suites.requests import Answered, Asked, Called
from harness.suites.scores import ItemScore, SelfCheck, TaskHead
from harness.suites.tool_cases import ToolCase

#: Tokens of a reply; models that reason need them.
LIMIT = 2048
_METRIC = "right"
_VERSION = "1"


class ToolSuite:
    """Cases of calling tools. ``case`` decides; all other aspects are parts of it, told and tested beside it."""

    chat = True

    def __init__(self, cases: Sequence[ToolCase], limit: int = LIMIT) -> None:
        self._cases = {case.id: case for case in cases}
        self.limit = limit

    def asked(self) -> list[Asked]:
        """One request per case."""
        return [case.request(self.limit) for case in self._cases.values()]

    def heads(self) -> list[TaskHead]:
        """The aspects, as tasks are told."""
        content = digest_json([case.model_dump(mode="json") for case in self._cases.values()])
        return [
            TaskHead(
                name=aspect, version=_VERSION, kind="tool_calls", metrics=(_METRIC,), higher_is_better={_METRIC: True},
                filter="", items=len(items), limit=self.limit, content=content,
                part_of="" if aspect == ASPECTS[0] else ASPECTS[0],
            )
            for aspect, items in self.scored({}).items()
        ]  # fmt: skip

    def scored(self, answers: Mapping[str, Answered]) -> dict[str, list[ItemScore]]:
        """Scores of all cases by aspect, of those that some case can show.

        Replies that ended for their length are judged by ``ends`` alone.
        """
        replies = {key: one for key, one in answers.items() if isinstance(one, Called)}
        found: dict[str, list[ItemScore]] = {aspect: [] for aspect in ASPECTS}
        for case in self._cases.values():
            reply = replies.get(case.id, Called(lost=NOT_ASKED))
            twin = replies.get(case.twin)
            for aspect, score in self._item(case, reply, twin).items():
                found[aspect].append(score)
        return {aspect: scores for aspect, scores in found.items() if scores}

    def self_check(self) -> dict[str, SelfCheck]:
        """Replies made to fail each aspect, and replies made to be right, go through the same scoring."""
        good = self.scored({case.id: right_reply(case) for case in self._cases.values()})
        found = {}
        for aspect in good:
            bad = self.scored(self._planted(aspect))[aspect]
            rights = {one.item: one.metrics.get(_METRIC) for one in good[aspect]}
            pairs = [
                (one.metrics.get(_METRIC), rights.get(one.item)) for one in bad if not one.lost or aspect == "ends"
            ]
            found[aspect] = SelfCheck(
                task=aspect, metric=_METRIC, items=len(pairs), failed=sum(wrong == 0.0 for wrong, _ in pairs),
                passed=sum(right == 1.0 for _, right in pairs), passable=True,
            )  # fmt: skip
        return found

    def _planted(self, aspect: str) -> dict[str, Answered]:
        """Every case answered so that this aspect fails; a stream fails beside a twin that is right."""
        twins = {case.twin for case in self._cases.values()} if aspect == "streams" else set()
        return {
            case.id: right_reply(case) if case.id in twins else wrong_reply(case, aspect)
            for case in self._cases.values()
        }

    def _item(self, case: ToolCase, reply: Called, twin: Called | None) -> dict[str, ItemScore]:
        cut = reply.finish == "length"
        ends = Mark(not cut, seen=reply.finish)
        lost = reply.lost or ("the reply ended for its length" if cut else "")
        marks = _known(case) if lost else mark_reply(case, reply, twin)
        target = "; ".join(f"{call.name}({_plain(call.arguments)})" for call in case.calls)
        target = target or " and ".join(["no call", *(group[0] for group in (case.says, case.says_too) if group)])
        early = cut_early(reply, self.limit)

        kinds = {UNPARSED: unparsed, MERGED: merged}
        held = {} if lost else {name: 1.0 for name, holds in kinds.items() if holds(case, reply)}

        def score(mark: Mark, lost: str) -> ItemScore:
            lost = lost or ("" if mark.applies else DOES_NOT_APPLY)
            return ItemScore(
                item=case.id, name=case.id, group=f"item tools {case.twin or case.id}", answer=_whole(mark.seen),
                target=target[:2000], metrics={} if lost else {_METRIC: float(mark.right), **held},
                cut=cut, early=early, lost=lost,
            )  # fmt: skip

        return {aspect: score(mark, lost) for aspect, mark in marks.items()} | {"ends": score(ends, reply.lost)}


def _whole(text: str) -> str:
    """A text without halves of characters, which no file can hold."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _known(case: ToolCase) -> dict[str, Mark]:
    """The aspects that a case can show, for a reply that is not there."""
    return dict.fromkeys(
        mark_reply(case, right_reply(case), right_reply(case) if case.twin else None), Mark(right=False)
    )


def _plain(arguments: Mapping[str, Sequence[object]]) -> str:
    return ", ".join(f"{key}={values[0]!r}" for key, values in arguments.items() if values)
