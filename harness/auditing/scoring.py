"""Replies through the reference and every member of the bank: what an audit and a plan share."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.auditing.asking import sequences_of
from harness.auditing.recutting import move_replies
from harness.auditing.scorable import Ids, Scorable
from harness.comparisons.recut import MovedReplies
from harness.observations.events import Event, StageStarted
from harness.observations.reference_cache import ReferenceCache
from harness.observations.rescore import Evidence, rescore
from harness.prompts.thoughts import Marks
from harness.targets.bank import BankMember
from harness.targets.checkpoint.target import CheckpointTarget, Workers
from harness.targets.listed import Listed
from harness.targets.opening import open_target
from harness.targets.sampler import Sampler
from harness.targets.spec import TargetSpec
from harness.targets.token_evidence import empty_evidence


class Scoring:
    """Replies through the reference and every member of the bank, one after the other."""

    def __init__(
        self,
        workers: Workers,
        cache: Path,
        members: Sequence[BankMember],
        prompts: Mapping[str, Sequence[Ids]],
        sampler: Sampler | None = None,
        marks: Marks | None = None,
    ) -> None:
        self._workers, self._cache, self._members, self._prompts = workers, cache, members, prompts
        self._sampler = sampler or Sampler()
        self._opened: dict[TargetSpec, CheckpointTarget] = {}
        self.centre = self.open(members[0].spec)
        self.honest = [member.name for member in members if not member.family]
        self.marks = marks or Marks()
        self.silent = _silent(self.centre, self.marks)
        self.stop = next(iter(self.centre.identity().stop_ids), int(np.flatnonzero(self.silent)[0]))
        self._kept: ReferenceCache | None = None

    def evidence(
        self,
        scored: Sequence[Scorable],
        first: int = 0,
        *,
        brief: bool = False,
        told: Mapping[str, Listed] | None = None,
    ) -> Generator[Event, None, Evidence]:
        """Rows of every configuration for the replies to questions ``first`` and on, none where no token is scored.

        ``told`` are the log-probabilities that came with them.
        """
        yield StageStarted("scoring", f"{len(self._members)} configurations, one after the other")
        part = slice(first, first + len(scored))
        renderings = {name: sequences_of(prompts[part], scored, first) for name, prompts in self._prompts.items()}
        rows = yield from rescore(
            self._members, renderings, self.open, self._states(), self.silent, self._sampler, brief=brief, told=told
        )
        found: Evidence = {}
        for name, parts in rows.items():
            left = iter(parts)
            found[name] = [next(left) if one.ids else empty_evidence(0) for one in scored]
        return found

    def of(self, members: Sequence[BankMember], prompts: Mapping[str, Sequence[Ids]]) -> Scoring:
        """The same machinery for some of the members and other prompts."""
        return Scoring(self._workers, self._cache, members, prompts, self._sampler, self.marks)

    def lengths(self, first: int, end: int) -> list[int]:
        """Tokens of the reference's prompts."""
        return [len(prompt) for prompt in self._prompts[""][first:end]]

    def moved(
        self, draws: int, tokens: int, seen: Callable[[Sequence[Ids]], Sequence[str | Ids]]
    ) -> Generator[Event, None, dict[str, MovedReplies]]:
        """Local replies that are read otherwise than they were written, for the charge of a host without ids.

        ``seen`` is what a host shows of replies.
        """
        made = move_replies(self._members, self._prompts, self.open, self._states(), self.silent, draws, tokens, seen)
        return (yield from made)

    def open(self, wanted: TargetSpec) -> CheckpointTarget:
        """The target of a specification."""
        if wanted not in self._opened:
            self._opened[wanted] = open_target(wanted, self._workers, self._cache)
        return self._opened[wanted]

    def _states(self) -> ReferenceCache:
        if self._kept is None:
            self._kept = ReferenceCache(self._cache, self.centre, self.centre.capabilities(), "hidden")
            self._kept.prepare()
        return self._kept


def _silent(target: CheckpointTarget, marks: Marks) -> NDArray[np.bool_]:
    """Ids that hosts leave out of texts; those that end a reply are among them, whatever the tokenizer calls them.

    Marks around reasoning are put back, and count as text.
    """
    silent = target.silent()
    for ids in target.recut([marks.begin, marks.end]) if marks else ():
        silent[[token for token in ids if token < len(silent)]] = False
    stops = [stop for stop in target.identity().stop_ids if stop < len(silent)]
    silent[stops] = True
    return silent
