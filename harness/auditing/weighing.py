"""Replies of an endpoint, round by round: scored, stored, weighed, and whether they decide."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from harness.auditing.scorable import Scorable, of_pinned, recut_replies, scorable, tells_no_ids
from harness.auditing.scoring import Scoring
from harness.auditing.store import AuditFolder, Gathered
from harness.auditing.telling import Names, names_tell, told_of, with_ids
from harness.auditing.thinking import Thinking
from harness.comparisons.audit import AuditFacts, weigh_replies
from harness.comparisons.controls import accusing_axes
from harness.comparisons.recut import RecutFacts, measure_charges
from harness.observations.events import Event, Noticed
from harness.reports.audit_card import AuditPlan
from harness.targets.endpoint.replies import Reply
from harness.targets.endpoint.ways import is_neutral
from harness.verdicts.audit import settled

#: Why replies whose parts cannot be put together say nothing, and what else may be tried.
_WITHHELD = {
    "tool calls": "The host returns calls of tools, which no question here offers.",
    "hidden": "The host hides what the model thinks: the text is a part of what was written.",
    "summarised": "The host shows a summary in place of what the model thinks.",
    "contradictory": "The host tells the model's reasoning in two fields that differ.",
}
_WAYS_OUT = "Ask with --protocol completions, where the host has it: that text is whole."


class Weighing:
    """The state of an audit between rounds; ``source`` is empty for the candidate, else the name of a control."""

    def __init__(self, bench: Scoring, plan: AuditPlan, folder: AuditFolder, source: str = "") -> None:
        self.bench = bench
        self.scored: list[Scorable] = []
        self.replies: list[Reply] = []
        self.facts: AuditFacts | None = None
        self.untestable = ""  # why the text says nothing about weights
        self._plan, self._folder, self._source = plan, folder, source
        self._own = Gathered()
        self._names = Names(bench.centre)
        self._thinking = Thinking(bench.marks, bench.centre, bench.silent)
        self._recut: bool | None = (
            None  # whether the host tells no ids: the first round decides, one rule holds for all
        )
        self._charges: RecutFacts | None = None
        self._neutral = True

    def add(self, replies: Sequence[Reply]) -> Generator[Event, None, None]:
        """Score and weigh the replies of one more round, in plan order."""
        if not replies:
            return
        if not self._source:  # a control is no endpoint of the router's
            replies = [of_pinned(reply, self._plan.extras) for reply in replies]
        came, replies = replies, self._thinking.whole(replies)
        named = self._thinking.by_ids(with_ids(replies, self._names))
        if self._recut is None:
            self._recut = tells_no_ids(named) or (tells_no_ids(replies) and not self._named(named))
        if not self._recut:
            replies = named
        self._neutral &= all(is_neutral(reply.way) for reply in replies)
        read = recut_replies if self._recut else scorable
        scored = read(replies, self.bench.centre, self.bench.silent, self.bench.stop, self._plan.tokens)
        yield from _told(scored)
        first = len(self.scored)
        # texts as they came, for what is said of the protocol
        pairs = zip(came, replies, strict=True)
        self.replies.extend(reply.model_copy(update={"text": one.text}) for one, reply in pairs)
        self.scored.extend(scored)
        self.untestable = self._why_not(replies, first)
        if self.untestable:
            self.facts = None  # what was weighed before is no verdict on the rest
            return
        told = told_of(replies, scored, self._names, first) if self._plan.sampler.plain and not self._recut else {}
        rows = yield from self.bench.evidence(scored, first, told=told)
        lost = [number for number, one in enumerate(scored) if one.lost]
        if self._recut and not self._charges:
            moved = yield from self.bench.moved(self._plan.draws, self._plan.tokens, self._thinking.again)
            self._charges = measure_charges(moved, self.bench.honest)
            if set(self._charges.dear) == set(self._plan.families):
                self.untestable = "Without the ids of tokens, no member of this bank can be told from the reference."
                return
        self._folder.keep_terms(self._source, self._charges, neutral=self._neutral)
        self._folder.keep_evidence(self._source, rows, lost, [*self._plan.honest, *self._plan.families])
        self._own.add(rows, lost)
        plan = self._plan
        self.facts = weigh_replies(
            self._own.evidence, plan.honest, plan.families, plan.near, self._own.lost, plan.alpha, plan.seed,
            self._charges, neutral=self._neutral, sampler=plan.sampler,
        )  # fmt: skip

    def _named(self, named: Sequence[Reply]) -> bool:
        """Whether ids that were read from log-probabilities hold for every reply of a round."""
        bench = self.bench
        return names_tell(named, scorable(named, bench.centre, bench.silent, bench.stop, self._plan.tokens))

    def _unseen(self) -> bool:
        """Whether most replies of a model that thinks are billed and empty."""
        told = [reply for reply in self.replies if not reply.lost]
        empty = [one for one in told if not one.text.strip() and not one.thought and (one.billed or 0) > 1]
        return bool(self.bench.marks) and 2 * len(empty) > len(told)

    @property
    def decided(self) -> bool:
        """Whether more questions would change nothing."""
        if self.untestable:
            return True
        if self.facts is None:
            return False
        return settled(self.facts, self._plan.required)

    @property
    def accused(self) -> bool:
        """Whether any axis accuses."""
        return not self.untestable and bool(accusing_axes(self.facts))

    @property
    def recut(self) -> bool:
        """Whether the host tells no ids."""
        return bool(self._recut)

    def _why_not(self, replies: Sequence[Reply], first: int) -> str:
        """Why the text says nothing about weights, or an empty string."""
        if self._plan.protocol == "completions" and self._recut:
            return "Without the ids of tokens nobody knows where a turn ended: completions may go on. Ask by chat."
        if self._plan.protocol == "completions":
            lengths = self.bench.lengths(first, first + len(replies))
            for reply, length in zip(replies, lengths, strict=True):
                if not reply.lost and reply.prompt != length:
                    billed = "not billed at all" if reply.prompt is None else f"billed as {reply.prompt} tokens"
                    return f"A prompt of {length} tokens, given whole, is {billed}: nobody knows what was read."
        withheld = next((reply.withheld for reply in replies if reply.withheld), "")
        if withheld or self._unseen():
            return f"{_WITHHELD[withheld or 'hidden']} {_WAYS_OUT}"
        if all(one.lost for one in self.scored):
            return f"No reply can be scored: {self.scored[0].lost}."
        if self._recut and not self._plan.sampler.plain:
            return f"Replies at {self._plan.sampler} are judged by the ids of tokens, which this host does not tell."
        return ""


def _told(scored: Sequence[Scorable]) -> Generator[Event, None, None]:
    lost = [one.lost for one in scored if one.lost]
    if lost:
        yield Noticed(f"{len(lost)} of {len(scored)} replies cannot be scored: {lost[0]}")
