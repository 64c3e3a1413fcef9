"""Who is asked in a run, in which order, and the asking itself: step by step, every answer stored before the next."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

from harness.errors import Interrupted, NoChatTemplate, TargetRefused
from harness.identity import digest_file, digest_json
from harness.observations.asked import Asked as AskedLog
from harness.observations.events import Event, Noticed, Stop, TargetFinished, TargetStarted, TokensScored
from harness.redact import safe_line
from harness.suites.requests import UNREACHED, UNREADABLE, Asked
from harness.targets.alternatives import honest_band, native_precision
from harness.targets.checkpoint.target import CheckpointTarget, Workers
from harness.targets.endpoint.address import Address
from harness.targets.endpoint.answers import EndpointAnswers
from harness.targets.endpoint.budget import Budget, Caps
from harness.targets.endpoint.client import Client, Limits
from harness.targets.endpoint.pace import Pace
from harness.targets.opening import open_target
from harness.targets.spec import Runtime
from harness.tasking.planning import MISSING, Role, TaskTarget, steps
from harness.tasking.records import AnswerRecord
from harness.tasking.sources import LocalSource, RecordedSource, Source
from harness.tasking.store import TaskFolder

_SESSION = 24 * 3600.0  # seconds: a host may take a day
_ATTEMPT, _SLOWEST = 60.0, 8.0  # seconds of one attempt, and tokens per second of the slowest host that is waited for
_REASONS = 5  # for which some requests were not reached that are told
#: Replies that are written together; the control writes in groups of another size.
ROWS, CONTROL_ROWS = 8, 5


@dataclass(frozen=True, slots=True)
class Recorded:
    """One half of a record, from a file of this digest."""

    record: AnswerRecord
    path: Path
    control: bool = False


Who = CheckpointTarget | Address | Recorded
Asking = tuple[TaskTarget, Who]


@dataclass(frozen=True, slots=True)
class Manner:
    """How targets are asked."""

    seed: int
    concurrency: int
    caps: Caps
    longest: int  # tokens of a reply


def targets_of(
    reference: Who, candidates: Sequence[Who], runtime: Runtime, workers: Workers, cache: Path, *, control: bool
) -> list[Asking]:
    """Reference, control and candidates in the order in which they are asked: those that share weights one after another.

    The control is the reference in other arithmetic, or a host asked once more.
    """
    found = [_asking("reference", "reference", reference, shared=True)]
    if control and isinstance(reference, CheckpointTarget):
        asked_for = runtime.dtype
        native = native_precision(reference.identity()) if asked_for == "auto" else asked_for
        other = honest_band(reference.spec, native)[-1]
        rounded = other.spec.kind == "dtype"  # then rounding moves more than what is computed together
        label = f"{other.name}, another batch shape" if rounded else other.name
        found.append(
            _asking("control", "control", open_target(other.spec, workers, cache), shared=rounded, label=label)
        )
    elif control and isinstance(reference, Recorded) and reference.record.control:
        again = Recorded(reference.record, reference.path, control=True)
        found.append(_asking("control", "control", again, label=f"{reference.record.label}, asked again"))
    elif control and isinstance(reference, Address):
        found.append(_asking("control", "control", reference, label=f"{reference.shown}, asked again"))
    return found + [
        _asking(f"candidate {number}", "candidate", one, shared=True) for number, one in enumerate(candidates, start=1)
    ]


def _asking(key: str, role: Role, whose: Who, *, shared: bool = False, label: str = "") -> Asking:
    """A target as the plan names it, and who stands behind it."""
    if isinstance(whose, CheckpointTarget):
        identity, spec = whose.identity(), whose.spec
        prompts = digest_json([identity.template_sha256, identity.tokenizer_sha256, dict(identity.special_tokens),
                               list(identity.stop_ids), dict(identity.generation)])  # fmt: skip
        rows = CONTROL_ROWS if role == "control" else ROWS
        return TaskTarget(key=key, label=label or spec.label, role=role, spec=spec.shown, digest=identity.digest,
                          prompts=prompts, runtime=asdict(spec.runtime), rows=rows, shared=shared), whose  # fmt: skip
    if isinstance(whose, Recorded):
        record = whose.record
        return TaskTarget(key=key, label=label or record.label, role=role, spec=record.spec, digest=digest_file(whose.path),
                          prompts="", runtime={"recorded": record.day}, rows=ROWS, shared=False), whose  # fmt: skip
    return TaskTarget(key=key, label=label or whose.shown, role=role, spec=whose.shown, digest="", prompts="", runtime={},
                      rows=ROWS, shared=False), whose  # fmt: skip


def collect(
    folder: TaskFolder, targets: Sequence[Asking], asked: Sequence[Asked], manner: Manner, stop: Stop
) -> Generator[Event, None, None]:
    """Ask what the folder does not hold. Hosts are asked in turn, step by step, so that a busy hour is one for all of them."""
    reference = targets[0][1]
    with ExitStack() as held:
        for _, together in groupby(targets, lambda one: isinstance(one[1], Address) or one[0].key):
            group = [
                (target, _source(target, who, reference, manner, folder, held), set(folder.answers(target.key, asked)))
                for target, who in together
            ]
            yield from _ask_in_turn(folder, [one for one in group if len(one[2]) < len(asked)], asked, stop)


Line = tuple[TaskTarget, Source, set[str]]


def _ask_in_turn(folder: TaskFolder, group: list[Line], asked: Sequence[Asked], stop: Stop) -> Iterator[Event]:
    if not group:
        return
    began, label = time.monotonic(), group[0][0].label if len(group) == 1 else f"{len(group)} endpoints in turn"
    left = sum(len(asked) - len(known) for _, _, known in group)
    yield TargetStarted(label, group[0][0].role if len(group) == 1 else "hosts", left, "requests")
    over: set[str] = set()
    for step in steps(asked, group[0][0].rows):
        for target, source, known in group:
            missing = [one for one in step if one.key not in known]
            if not missing or target.key in over:
                continue
            put = (
                step if isinstance(source, LocalSource) else missing
            )  # what is computed together decides how it is rounded
            try:
                answers = source.answer(put)
            except NoChatTemplate as error:
                yield Noticed(f"{target.label} is not asked any further: {error.problem}")
                over.add(target.key)
                continue
            if target.role == "reference" and all(answer.lost.startswith(UNREADABLE) for answer in answers):
                raise TargetRefused(
                    f"this reference cannot be held against anybody: {answers[0].lost}", where=target.label,
                    fix="give the vendor's endpoint or a record of it as reference, or a template that shows calls",
                )  # fmt: skip
            reached = [pair for pair in zip(put, answers, strict=True) if not pair[1].lost.startswith(UNREACHED)]
            folder.keep_answers(target.key, [one for one, _ in reached], [answer for _, answer in reached])
            gone = sorted({answer.lost for answer in answers if answer.lost.startswith(UNREACHED)})[:_REASONS]
            folder.keep_notes(target.key, [*source.notes, *(MISSING + safe_line(one, 160) for one in gone)])
            if source.ended:
                yield Noticed(f"{target.label} is not asked any further: {safe_line(source.ended, 200)}")
                over.add(target.key)
            yield TokensScored(label, len(missing))
        if stop.wanted:
            raise Interrupted(
                "stopped; every answer so far is stored", where=str(folder.folder),
                fix="give the same command again to go on",
            )  # fmt: skip
    if not over:
        yield TargetFinished(label, time.monotonic() - began)


def _source(
    target: TaskTarget, who: Who, reference: Who, manner: Manner, folder: TaskFolder, held: ExitStack
) -> Source:
    """Who answers for a target: a checkpoint, a record, or a host with its log of attempts, budget and pace."""
    if isinstance(who, CheckpointTarget):
        return LocalSource(who, target.rows, shared=target.shared, seed=manner.seed)
    if isinstance(who, Recorded):
        return RecordedSource(who.record.control if who.control else who.record.answers, who.record.notes)
    log = held.enter_context(AskedLog(folder.folder / f"asked-{target.key.replace(' ', '-')}.sqlite"))
    budget = Budget(manner.caps)
    budget.resume(log.spent())
    attempt = _ATTEMPT + manner.longest / _SLOWEST
    limits = Limits(attempt=attempt, request=2 * attempt, session=_SESSION)
    client = held.enter_context(Client(who, pace=Pace(most=manner.concurrency), budget=budget, log=log, limits=limits))
    encode = reference.pairs if isinstance(reference, CheckpointTarget) else None
    return EndpointAnswers(client, target.rows, encode, manner.seed)
