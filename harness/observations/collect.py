"""The loop that asks: reference first (once), then every planned target, each batch noted before it is asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np

from harness.errors import FidelityError, IncompatibleCandidate, Interrupted, NumericsError
from harness.observations.events import Event, Found, Stop, TargetFinished, TargetStarted, TokensScored
from harness.observations.journal import Journal
from harness.observations.plan import Plan, PlannedTarget
from harness.observations.reference_cache import ReferenceCache
from harness.prompts.sequences import Sequence
from harness.targets.batches import Batch, group
from harness.targets.checkpoint.target import CheckpointTarget
from harness.targets.rows import Rows

Opener = Callable[[PlannedTarget], CheckpointTarget]

_LOWEST_KL = -1e-6
_FIRST = 3  # documents after which a first number is told


def halt(stop: Stop, journal: Journal) -> None:
    """End the run where the user asked for it; raises Interrupted."""
    if stop.wanted:
        raise Interrupted(
            "stopped; everything that was finished is in the journal",
            where=str(journal.folder),
            fix="give the same command again to go on",
        )


def collect_reference(plan: Plan, cache: ReferenceCache) -> Iterator[Event]:
    """Run the reference on every sequence whose answers are not cached."""
    size = plan.reference.spec.runtime.batch
    batches = [batch for batch in group(plan.items(), size) if cache.missing(batch)]
    if not batches:
        return
    label = plan.reference.label
    started = time.monotonic()
    yield TargetStarted(label, "reference", sum(s.scored for batch in batches for s in batch))
    for batch in batches:
        cache.fill(batch, plan.vocabulary)
        yield TokensScored(label, sum(sequence.scored for sequence in batch))
    yield TargetFinished(label, time.monotonic() - started)


def collect_target(
    plan: Plan, planned: PlannedTarget, open_target: Opener, cache: ReferenceCache, journal: Journal
) -> Iterator[Event]:
    """Score one target on everything planned for it that is not in the journal."""
    done = journal.finished(planned.key)
    reference_keys = _cache_names(plan, cache)
    batches = [
        batch
        for batch in group(plan.of(planned), planned.spec.runtime.batch)
        if any(sequence.key not in done for sequence in batch)
    ]
    if not batches:
        return
    started = time.monotonic()
    yield TargetStarted(planned.label, planned.role, sum(s.scored for batch in batches for s in batch))
    target = open_target(planned)
    capabilities = target.capabilities()
    if capabilities.vocabulary < plan.vocabulary:
        raise IncompatibleCandidate(
            f"the candidate scores {capabilities.vocabulary} ids but the tokenizer knows {plan.vocabulary}",
            where=planned.spec.text,
            fix="its embedding was cut; compare it with a reference of the same vocabulary",
        )
    journal.note("capabilities", planned.key, capabilities.model_dump(mode="json"))
    first: list[Rows] = []
    for batch in batches:
        attempt = journal.begin(planned.key, [sequence.key for sequence in batch])
        try:
            names = [reference_keys[sequence.key] for sequence in batch]
            rows = target.score(Batch.of(batch), cache.folder, names, plan.vocabulary)
            parts = _split(rows, batch)
            journal.finish(attempt, planned.key, parts)
        except FidelityError as error:
            journal.fail(attempt, error.problem)
            raise
        yield TokensScored(planned.label, sum(sequence.scored for sequence in batch))
        if planned.role == "candidate" and len(first) < _FIRST:
            first += parts.values()
            if len(first) >= _FIRST:
                yield from _told(planned.label, first)
    yield TargetFinished(planned.label, time.monotonic() - started)


def _told(label: str, first: list[Rows]) -> Iterator[Event]:
    """The mean divergence over the first documents: a number and no verdict, because the rest may look otherwise."""
    values = np.concatenate([rows["kl_ref_cand"] for rows in first])
    if np.isfinite(values).all():
        yield Found(label, f"{values.mean():.2g} nat per token from the reference, on its first {len(first)} documents")


def _cache_names(plan: Plan, cache: ReferenceCache) -> dict[str, str]:
    """For each sequence the name under which the reference's answers are cached (in the reference's own batches)."""
    names: dict[str, str] = {}
    for batch in group(plan.items(), plan.reference.spec.runtime.batch):
        for sequence, name in zip(batch, cache.keys(batch), strict=True):
            names[sequence.key] = name
    return names


def _split(rows: Rows, batch: list[Sequence]) -> dict[str, Rows]:
    """Rows per sequence, with segment and depth filled in; refuses a divergence that is clearly negative."""
    parts: dict[str, Rows] = {}
    start = 0
    for sequence in batch:
        part = rows[start : start + sequence.scored].copy()
        start += sequence.scored
        lowest = np.nanmin(part["kl_ref_cand"], initial=0.0)
        if lowest < _LOWEST_KL:
            raise NumericsError(
                f"a divergence of {lowest:.2e} nat was computed; it can never be negative",
                where=sequence.key,
                fix="report this with the model and the versions that 'fidelity doctor' prints",
            )
        segments = np.array([*sequence.segments, sequence.segments[-1]])
        starts = np.maximum.accumulate(
            np.where(np.concatenate([[True], segments[1:] != segments[:-1]]), np.arange(len(segments)), 0)
        )
        predicted = part["position"] + 1
        part["segment"] = segments[predicted]
        part["depth"] = predicted - starts[predicted]
        parts[sequence.key] = part
    return parts
