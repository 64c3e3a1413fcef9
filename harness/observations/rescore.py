"""Replies of a host, teacher-forced under the reference and under every member of the bank, one model at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from harness.observations.events import Event, TargetFinished, TargetStarted, TokensScored
from harness.observations.reference_cache import ReferenceCache
from harness.prompts.sequences import Sequence as Scored
from harness.targets.bank import BankMember
from harness.targets.batches import Batch, group
from harness.targets.checkpoint.target import CheckpointTarget
from harness.targets.listed import Listed
from harness.targets.sampler import Sampler
from harness.targets.spec import TargetSpec
from harness.targets.token_evidence import TokenEvidence

_AT_ONCE = 8  # replies per forward pass

#: Evidence of every reply, by configuration, replies in plan order.
Evidence = dict[str, list[TokenEvidence]]


def rescore(
    members: Sequence[BankMember],
    renderings: Mapping[str, Sequence[Scored]],
    opened: Callable[[TargetSpec], CheckpointTarget],
    cache: ReferenceCache,
    silent: NDArray[np.bool_],
    sampler: Sampler | None = None,
    *,
    brief: bool = False,
    told: Mapping[str, Listed] | None = None,
) -> Generator[Event, None, Evidence]:
    """Score every reply under every member; the first member is the centre of the null, which the others are held against.

    ``renderings`` holds, per fault of the prompt ("" for none), the prompts with their replies; all hold the same
    replies in the same order. ``opened`` gives the target of a specification, ``sampler`` is what the host was asked for;
    ``brief`` leaves out of the bank's rows what only sizes and exclusions need. ``told`` holds what the host told of the tokens
    of each sequence, by key; all or none.
    """
    sound = list(renderings[""])
    found: Evidence = {}
    for place, member in enumerate(members):
        asked = list(renderings[member.fault])
        started = time.monotonic()
        yield TargetStarted(member.name, "bank" if member.family else "honest", sum(s.scored for s in asked))
        target = opened(member.spec)
        rows: dict[str, TokenEvidence] = {}
        for batch in group(asked, _AT_ONCE):
            if place == 0 and cache.missing(batch):
                cache.fill(batch, len(silent))
            wanted = {sequence.key for sequence in batch}
            names = _names(sound, cache)
            keys = [names[sequence.key] for sequence in batch]
            part = target.evidence(
                Batch.of(batch),
                cache.folder,
                keys,
                silent,
                sampler,
                base=place == 0,
                brief=brief and bool(member.family),
                listed=Listed.joined(told[sequence.key] for sequence in batch) if told else None,
            )
            ends = list(accumulate(sequence.scored for sequence in batch))
            rows |= {sequence.key: part[end - sequence.scored : end] for sequence, end in zip(batch, ends, strict=True)}
            yield TokensScored(member.name, sum(sequence.scored for sequence in batch if sequence.key in wanted))
        found[member.name] = [rows[sequence.key] for sequence in asked]
        yield TargetFinished(member.name, time.monotonic() - started)
    return found


def _names(sound: list[Scored], cache: ReferenceCache) -> dict[str, str]:
    """Under which name the centre's states of each reply are cached: they depend on the batch that it ran in."""
    return {
        sequence.key: name
        for batch in group(sound, _AT_ONCE)
        for sequence, name in zip(batch, cache.keys(batch), strict=True)
    }
