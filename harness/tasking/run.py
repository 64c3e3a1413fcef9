"""A run of tasks or of tool calls, told once: items, plan, answers of every target, scores, verdicts, card."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol

from harness import __version__
from harness.config import Places
from harness.errors import EndpointUnreachable
from harness.observations.events import Event, PlanReady, StageStarted, Stop
from harness.observations.lm_eval import load_tasks, versions
from harness.reports.task_card import TaskCard
from harness.suites.requests import Answered, Asked, Called, Calling, Writing
from harness.suites.scores import ItemScore, SelfCheck, TaskHead
from harness.suites.tool_cases import read_cases, shipped_cases
from harness.targets.checkpoint.target import Workers
from harness.targets.endpoint.address import is_address, parse_address
from harness.targets.opening import open_target
from harness.targets.spec import parse_spec
from harness.tasking.asking import Asking, Manner, Recorded, Who, collect, targets_of
from harness.tasking.judging import judge
from harness.tasking.planning import TaskPlan, requests_digest
from harness.tasking.records import is_record, read_record, write_record
from harness.tasking.requests import RunRequest, TaskRequest, ToolRequest
from harness.tasking.store import TaskFolder
from harness.tasking.tool_suite import ToolSuite


class Suite(Protocol):
    """Items that are asked and scored; ``chat`` says that they are asked as conversations."""

    chat: bool

    def asked(self) -> list[Asked]:
        """Every request."""
        ...

    def heads(self) -> list[TaskHead]:
        """The tasks as they are told."""
        ...

    def scored(self, answers: Mapping[str, Answered]) -> dict[str, list[ItemScore]]:
        """Scores of the items of every task; what is missing counts as lost."""
        ...

    def self_check(self) -> dict[str, SelfCheck]:
        """Whether each task's metric can fail."""
        ...


def run_tasks(request: TaskRequest, places: Places, stop: Stop) -> Generator[Event, None, tuple[TaskCard, Path]]:
    """Ask every target the same items, going on with an unfinished run of the same plan."""
    request.check()
    with Workers() as workers:
        yield StageStarted("files", "reading and hashing the files of every target")
        reference = open_target(parse_spec(request.reference, request.runtime), workers, places.cache)
        candidates = _candidates(request, workers, places.cache)
        chat = bool(reference.identity().template_sha256) if request.chat is None else request.chat
        yield StageStarted("tasks", f"loading {', '.join(request.tasks)}")
        suite = load_tasks(request.tasks, chat=chat, limit=request.limit or None)
        targets = targets_of(reference, candidates, request.runtime, workers, places.cache, control=request.control)
        plan = _plan(request, "tasks", request.tasks, request.limit, suite, targets)
        folder = yield from _collected(request, suite, plan, targets, places, stop)
        with folder:
            return judge(folder), folder.folder


def run_tools(request: ToolRequest, places: Places, stop: Stop) -> Generator[Event, None, tuple[TaskCard | None, Path]]:
    """Offer every target the same tools; without candidates the reference is recorded, and there is no card."""
    request.check()
    suite = ToolSuite(read_cases(request.cases) if request.cases else shipped_cases(), request.max_tokens)
    with Workers() as workers:
        yield StageStarted("files", "reading and hashing the files of every target")
        reference = _reference(request, suite, workers, places.cache)
        candidates = _candidates(request, workers, places.cache)
        targets = targets_of(reference, candidates, request.runtime, workers, places.cache, control=request.control)
        plan = _plan(request, "tools", ("tools",), 0, suite, targets)
        folder = yield from _collected(request, suite, plan, targets, places, stop)
        with folder:
            card = judge(folder) if candidates else None
            if request.record:
                _record(request.record, folder, suite)
            return card, folder.folder


def _reference(request: ToolRequest, suite: ToolSuite, workers: Workers, cache: Path) -> Who:
    if is_record(request.reference):
        path = Path(request.reference)
        return Recorded(read_record(path, requests_digest(suite.asked())), path)
    if is_address(request.reference):
        return parse_address(request.reference, request.reference_key)
    return open_target(parse_spec(request.reference, request.runtime), workers, cache)


def _candidates(request: RunRequest, workers: Workers, cache: Path) -> list[Who]:
    return [
        parse_address(one, request.key)
        if is_address(one)
        else open_target(parse_spec(one, request.runtime), workers, cache)
        for one in request.candidates
    ]


def _plan(
    request: RunRequest, kind: Literal["tasks", "tools"], names: tuple[str, ...], limit: int, suite: Suite,
    targets: Sequence[Asking],
) -> TaskPlan:  # fmt: skip
    told = tuple(target for target, _ in targets)
    software = {"fidelity": __version__, **(versions() if kind == "tasks" else {})}
    return TaskPlan(
        kind=kind, names=names, tasks=tuple(suite.heads()), chat=suite.chat, limit=limit,
        requests=requests_digest(suite.asked()), targets=told, alpha=request.alpha, margin=request.margin,
        seed=request.seed, software=software,
        day=time.strftime("%Y-%m-%d", time.gmtime()) if any(not one.digest for one in told) else "",
    )  # fmt: skip


def _collected(
    request: RunRequest, suite: Suite, plan: TaskPlan, targets: Sequence[Asking], places: Places, stop: Stop
) -> Generator[Event, None, TaskFolder]:
    """The folder of a run with all its answers and their scores; it is held by us until it is closed."""
    asked = suite.asked()
    unfinished = None if request.fresh else TaskFolder.unfinished(places.results, plan)
    folder = unfinished or TaskFolder.create(places.results, plan)
    try:
        yield PlanReady(
            folder.folder.name, len(targets), len(asked), sum(head.items for head in plan.tasks if not head.part_of),
            len(asked) * len(targets), unfinished is not None, "requests", "items",
        )  # fmt: skip
        yield from collect(
            folder, targets, asked, Manner(request.seed, request.concurrency, request.caps, _longest(asked)), stop
        )
        yield StageStarted("report", "scoring, judging and writing the report")
        answers = {one.key: folder.answers(one.key, asked) for one in plan.targets}
        scores = {key: suite.scored(known) for key, known in answers.items()}
        partial = any(len(known) < len(asked) for known in answers.values())
        folder.keep_scores(scores, suite.self_check(), partial=partial)
    except BaseException:
        folder.__exit__()
        raise
    return folder


def _longest(asked: Sequence[Asked]) -> int:
    return max((one.limit for one in asked if isinstance(one, Writing | Calling)), default=0)


def _record(path: Path, folder: TaskFolder, suite: ToolSuite) -> None:
    """Write the answers of reference and control; raises EndpointUnreachable where some did not come."""
    asked, found = suite.asked(), {}
    for key in ("reference", "control"):
        answers = folder.answers(key, asked)
        found[key] = {name: one for name, one in answers.items() if isinstance(one, Called)}
        if len(answers) < len(asked) and any(target.key == key for target in folder.plan.targets):
            raise EndpointUnreachable(
                f"{len(asked) - len(answers)} requests got no answer that can be recorded", where=folder.plan.targets[0].label,
                fix="give the same command again: it asks these only",
            )  # fmt: skip
    if all(one.lost for one in found["reference"].values()):
        said = next(iter(found["reference"].values())).lost
        raise EndpointUnreachable(
            f"nothing was answered that could be recorded: {said}", where=folder.plan.targets[0].label
        )
    write_record(path, folder.plan, found, folder.notes("reference"))
