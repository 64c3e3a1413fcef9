"""A task run, told once: tasks, plan, answers of every target, scores, verdicts, card."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from harness import __version__
from harness.comparisons.tasks import compare_tasks
from harness.config import Places
from harness.errors import Interrupted, NoChatTemplate, UsageError
from harness.identity import digest_json
from harness.observations.asked import Asked as AskedLog
from harness.observations.events import (
    Event,
    Noticed,
    PlanReady,
    StageStarted,
    Stop,
    TargetFinished,
    TargetStarted,
    TokensScored,
)
from harness.observations.lm_eval import Tasks, load_tasks, versions
from harness.redact import safe_line
from harness.reports.task_card import CandidateTasks, TaskCard
from harness.suites.requests import Answered, Asked
from harness.targets.alternatives import honest_band, native_precision
from harness.targets.checkpoint.target import CheckpointTarget, Workers
from harness.targets.endpoint.address import Address, is_address, parse_address
from harness.targets.endpoint.answers import UNREACHED, EndpointAnswers
from harness.targets.endpoint.budget import Budget, Caps
from harness.targets.endpoint.client import Client, Limits
from harness.targets.endpoint.pace import Pace
from harness.targets.opening import open_target
from harness.targets.spec import Runtime, parse_spec
from harness.tasking.planning import Role, TaskPlan, TaskTarget, requests_digest, steps
from harness.tasking.sources import LocalSource, Source
from harness.tasking.store import TaskFolder
from harness.verdicts.tasks import MARGIN, judge_tasks, task_findings

Candidate = CheckpointTarget | Address
_SESSION = 24 * 3600.0  # seconds: a host may take a day
#: Replies that are written together; the control writes in groups of another size.
ROWS, CONTROL_ROWS = 8, 5


@dataclass(frozen=True, slots=True)
class TaskRequest:
    """Everything that a user can ask of a task run; ``chat`` None: as conversations if the reference has a template."""

    reference: str
    candidates: tuple[str, ...]
    tasks: tuple[str, ...] = ("fidelity",)
    limit: int = 0
    chat: bool | None = None
    control: bool = True
    alpha: float = 0.01
    margin: float = MARGIN
    seed: int = 20261126
    fresh: bool = False
    key: str = ""  # name of the variable with an endpoint's key
    concurrency: int = 4
    caps: Caps = field(default_factory=Caps)
    runtime: Runtime = field(default_factory=Runtime)


def run_tasks(request: TaskRequest, places: Places, stop: Stop) -> Generator[Event, None, tuple[TaskCard, Path]]:
    """Ask every target the same items, going on with an unfinished run of the same plan."""
    _check(request)
    with Workers() as workers:
        yield StageStarted("files", "reading and hashing the files of every target")
        reference = open_target(parse_spec(request.reference, request.runtime), workers, places.cache)
        candidates: list[Candidate] = [
            parse_address(one, request.key)
            if is_address(one)
            else open_target(parse_spec(one, request.runtime), workers, places.cache)
            for one in request.candidates
        ]
        chat = bool(reference.identity().template_sha256) if request.chat is None else request.chat
        yield StageStarted("tasks", f"loading {', '.join(request.tasks)}")
        tasks = load_tasks(request.tasks, chat=chat, limit=request.limit or None)
        asked = tasks.asked()
        targets = _targets(request, reference, candidates, workers, places.cache)
        plan = _plan(request, tasks, asked, [target for target, _ in targets])
        unfinished = None if request.fresh else TaskFolder.unfinished(places.results, plan)
        with unfinished or TaskFolder.create(places.results, plan) as folder:
            yield PlanReady(
                folder.folder.name, len(targets), len(asked), sum(head.items for head in plan.tasks),
                len(asked) * len(targets), unfinished is not None, "requests", "items",
            )  # fmt: skip
            with ExitStack() as held:
                for target, who in targets:
                    source = _source(request, target, who, reference, folder, held)
                    yield from _collect(folder, target, source, asked, stop)
            yield StageStarted("report", "scoring, judging and writing the report")
            _score(folder, tasks, asked)
            card = judge(folder)
        return card, folder.folder


def judge(folder: TaskFolder) -> TaskCard:
    """Judge a stored run again and rewrite its page; needs neither model nor tasks."""
    plan = folder.plan
    scores, checks = folder.scores()
    control = next((scores[target.key] for target in plan.targets if target.role == "control"), None)
    cards = []
    for target in plan.candidates:
        facts = compare_tasks(
            plan.tasks, scores["reference"], scores[target.key], control, checks, plan.alpha, plan.seed
        )
        cards.append(
            CandidateTasks(
                label=target.label, spec=target.spec, facts=facts, verdict=judge_tasks(facts, plan.margin),
                findings=tuple(task_findings(facts)), notes=folder.notes(target.key),
            )
        )  # fmt: skip
    card = TaskCard(
        fidelity_version=__version__, run=folder.folder.name, plan_digest=plan.digest, reference=plan.targets[0].label,
        control=next((target.label for target in plan.targets if target.role == "control"), ""),
        tasks=plan.tasks, chat=plan.chat, margin=plan.margin, alpha=plan.alpha, checks=tuple(checks.values()),
        candidates=tuple(cards), software=plan.software, partial=folder.partial,
    )  # fmt: skip
    folder.keep_card(card)
    return card


def _check(request: TaskRequest) -> None:
    if not request.candidates:
        raise UsageError("nothing to compare: no candidate is given", fix="fidelity tasks REFERENCE CANDIDATE")
    if not 0 < request.alpha < 0.5 or not 0 < request.margin < 1:
        raise UsageError("--alpha lies between 0 and 0.5, --margin between 0 and 1", fix="--alpha 0.01 --margin 0.02")
    origins = {urlsplit(one).netloc for one in request.candidates if is_address(one)}
    if request.key and len(origins) > 1:
        raise UsageError(
            "one key would be sent to several hosts", where=", ".join(sorted(origins)),
            fix="ask them in commands of their own, each with its --api-key-env",
        )  # fmt: skip
    if request.concurrency < 1:
        raise UsageError("--concurrency is a number of requests", fix="--concurrency 4")
    if request.limit < 0:
        raise UsageError("--limit is a number of items", fix="--limit 20, or 0 for all")


def _source(
    request: TaskRequest,
    target: TaskTarget,
    who: Candidate,
    reference: CheckpointTarget,
    folder: TaskFolder,
    held: ExitStack,
) -> Source:
    """Who answers for a target: a checkpoint, or a host with its log of attempts, budget and pace."""
    if isinstance(who, CheckpointTarget):
        return LocalSource(who, target.rows, shared=target.shared, seed=request.seed)
    log = held.enter_context(AskedLog(folder.folder / f"asked-{target.key.replace(' ', '-')}.sqlite"))
    budget = Budget(request.caps)
    budget.resume(log.spent())
    client = held.enter_context(Client(who, pace=Pace(most=request.concurrency), budget=budget, log=log,
                                       limits=Limits(session=_SESSION)))  # fmt: skip
    return EndpointAnswers(client, target.rows, reference.pairs, request.seed)


def _targets(
    request: TaskRequest, reference: CheckpointTarget, candidates: Sequence[Candidate], workers: Workers, cache: Path
) -> list[tuple[TaskTarget, Candidate]]:
    """Reference, control and candidates in the order in which they are asked: those that share weights one after another."""

    def add(key: str, label: str, role: Role, whose: CheckpointTarget, *, shared: bool) -> None:
        identity, spec = whose.identity(), whose.spec
        prompts = digest_json([identity.template_sha256, identity.tokenizer_sha256, dict(identity.special_tokens),
                               list(identity.stop_ids), dict(identity.generation)])  # fmt: skip
        rows = CONTROL_ROWS if role == "control" else ROWS
        target = TaskTarget(key=key, label=label, role=role, spec=spec.shown, digest=identity.digest, prompts=prompts,
                            runtime=asdict(spec.runtime), rows=rows, shared=shared)  # fmt: skip
        found.append((target, whose))

    found: list[tuple[TaskTarget, Candidate]] = []
    add("reference", reference.spec.label, "reference", reference, shared=True)
    if request.control:
        asked_for = request.runtime.dtype
        native = native_precision(reference.identity()) if asked_for == "auto" else asked_for
        other = honest_band(reference.spec, native)[-1]
        rounded = other.spec.kind == "dtype"  # then rounding moves more than what is computed together
        label = f"{other.name}, another batch shape" if rounded else other.name
        add("control", label, "control", open_target(other.spec, workers, cache), shared=rounded)
    for number, one in enumerate(candidates, start=1):
        if isinstance(one, CheckpointTarget):
            add(f"candidate {number}", one.spec.label, "candidate", one, shared=True)
            continue
        hosted = TaskTarget(key=f"candidate {number}", label=one.shown, role="candidate", spec=one.shown, digest="", prompts="",
                            runtime={}, rows=ROWS, shared=False)  # fmt: skip
        found.append((hosted, one))
    return found


def _plan(request: TaskRequest, tasks: Tasks, asked: list[Asked], targets: Sequence[TaskTarget]) -> TaskPlan:
    return TaskPlan(
        names=request.tasks, tasks=tuple(tasks.heads()), chat=tasks.chat, limit=request.limit,
        requests=requests_digest(asked), targets=tuple(targets), alpha=request.alpha, margin=request.margin,
        seed=request.seed, day=time.strftime("%Y-%m-%d", time.gmtime()) if any(not one.digest for one in targets) else "",
        software={"fidelity": __version__, **versions()},
    )  # fmt: skip


def _collect(
    folder: TaskFolder, target: TaskTarget, source: Source, asked: Sequence[Asked], stop: Stop
) -> Generator[Event, None, None]:
    """Ask what the folder does not hold, step by step."""
    held = folder.answers(target.key, asked)
    left = len(asked) - len(held)
    if not left:
        return
    began = time.monotonic()
    yield TargetStarted(target.label, target.role, left, "requests")
    for step in steps(asked, target.rows):
        missing = [one for one in step if one.key not in held]
        if not missing:
            continue
        try:
            answers = source.answer(step)
        except NoChatTemplate as error:
            yield Noticed(f"{target.label} is not asked any further: {error.problem}")
            return
        came = [
            (one, answer) for one, answer in zip(step, answers, strict=True) if not answer.lost.startswith(UNREACHED)
        ]
        folder.keep_answers(target.key, [one for one, _ in came], [answer for _, answer in came])
        if isinstance(source, EndpointAnswers):
            folder.keep_notes(target.key, source.notes)
            if source.ended:
                yield Noticed(f"{target.label} is not asked any further: {safe_line(source.ended, 200)}")
                return
        yield TokensScored(target.label, len(missing))
        if stop.wanted:
            raise Interrupted(
                "stopped; every answer so far is stored", where=str(folder.folder),
                fix="give the same command again to go on",
            )  # fmt: skip
    yield TargetFinished(target.label, time.monotonic() - began)


def _score(folder: TaskFolder, tasks: Tasks, asked: Sequence[Asked]) -> None:
    answers: dict[str, dict[str, Answered]] = {one.key: folder.answers(one.key, asked) for one in folder.plan.targets}
    scores = {key: tasks.scored(known) for key, known in answers.items()}
    folder.keep_scores(scores, tasks.self_check(), partial=any(len(known) < len(asked) for known in answers.values()))
