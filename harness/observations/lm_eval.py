"""The bridge to lm-eval: its tasks ask, its scorers judge, our targets answer. The only file that imports it.

Its command line and its request cache are not used: the cache is not keyed by model, and what it logs are strings. Answers are
kept by us, per request; lm-eval sees them when it scores.
"""

from __future__ import annotations

import contextlib
import difflib
import io
import json
import logging
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from harness.errors import MissingExtra, UnknownName, UsageError
from harness.redact import safe_line
from harness.suites.load import shipped_folder
from harness.suites.model import Message
from harness.suites.requests import Answered, Asked, Continuation, Opening, Rolling, Scored, Writing, Written
from harness.suites.scores import ItemScore, SelfCheck, TaskHead

_CHAT = "\x00conversation\x00"
_SEPARATOR = "|"
_WRONG = "\u00a7"  # a reply that answers nothing
_LEAST = -1e30  # log-probability that lm-eval sees of what was lost; such items are not counted
_MOST_TOKENS = 256  # of a reply, where a task does not say
_WHOLE = 0.98  # part of the limit from which on a reply that ended for its length reached it
_LONGEST = 2000  # characters of an answer or target that are kept with its score


class Answerer(Protocol):
    """Anything that answers requests, in their order."""

    def answer(self, asked: Sequence[Asked]) -> list[Answered]:
        """One answer per request."""
        ...


@dataclass
class Tasks:
    """Tasks of lm-eval, loaded, with the requests of their first ``limit`` items (None: of all)."""

    loaded: dict[str, Any]
    chat: bool
    limit: int | None = None
    _asked: list[Asked] = field(default_factory=list)

    def asked(self) -> list[Asked]:
        """Every request of every task, in lm-eval's order. Raises UsageError for an item that lacks a field."""
        if not self._asked:
            for name, task in self.loaded.items():
                with _quiet():
                    self._build(name, task)
                self._asked += _requests(task.instances)
        return self._asked

    def heads(self) -> list[TaskHead]:
        """The tasks as they are told; ``metrics`` are those that the task declares."""
        return list(self._heads().values())

    def _heads(self) -> dict[str, TaskHead]:
        asked = self.asked()
        items = Counter(name for name, _ in {_owner(one.key) for one in asked})
        limits: dict[str, int] = {}
        for one in asked:
            if isinstance(one, Writing):
                limits[_owner(one.key)[0]] = max(one.limit, limits.get(_owner(one.key)[0], 0))
        return {
            name: TaskHead(
                name=name,
                version=str(task.VERSION),
                kind=str(task.OUTPUT_TYPE),
                metrics=tuple(str(metric) for metric in task.aggregation()),
                higher_is_better={str(key): bool(value) for key, value in task.higher_is_better().items()},
                items=items[name],
                limit=limits.get(name, 0),
            )
            for name, task in self.loaded.items()
        }

    def scored(self, answers: Mapping[str, Answered]) -> dict[str, list[ItemScore]]:
        """Scores of the items of every task from the answers to ``asked``, by key; what is missing counts as lost."""
        samples = self._evaluated(_Stored(answers))["samples"]
        return {name: _item_scores(name, samples[name], self.loaded[name], answers) for name in self.loaded}

    def self_check(self) -> dict[str, SelfCheck]:
        """Score answers that were made to fail and answers that were made to pass: a metric that cannot fail proves nothing."""
        self.asked()
        wrong = self.scored(_planted(self.loaded, right=False))
        right = self.scored(_planted(self.loaded, right=True))
        return {name: _self_check(head, wrong[name], right[name]) for name, head in self._heads().items()}

    def numbers(self, answers: Mapping[str, Answered]) -> dict[str, dict[str, float]]:
        """lm-eval's own aggregated numbers per task and metric (``acc,none``)."""
        results = self._evaluated(_Stored(answers))["results"]
        return {
            name: {key: float(value) for key, value in results[name].items() if "," in key and _number(value)}
            for name in self.loaded
        }

    def _evaluated(self, answerer: Answerer) -> Any:
        from lm_eval import evaluate  # noqa: PLC0415

        with _quiet():
            return evaluate(
                lm=language_model(answerer),
                task_dict={"tasks": self.loaded, "groups": {}, "group_map": {}},
                limit=self.limit,
                bootstrap_iters=0,
                log_samples=True,
                apply_chat_template=self.chat,
                fewshot_as_multiturn=self.chat,
            )

    def _build(self, name: str, task: Any) -> None:
        from jinja2.exceptions import TemplateError  # noqa: PLC0415

        try:
            task.build_all_requests(
                limit=self.limit,
                rank=0,
                world_size=1,
                apply_chat_template=self.chat,
                fewshot_as_multiturn=self.chat,
                chat_template=_as_text if self.chat else None,
            )
        except (TemplateError, KeyError, IndexError, TypeError, ValueError, AssertionError) as error:
            item = _first_faulty(task)
            where = f"task {name}" + (f", item {item}" if item is not None else "")
            raise UsageError(
                f"an item cannot be asked: {type(error).__name__}: {safe_line(str(error), 200)}",
                where=where,
                fix="mend the item, or the template of the task",
            ) from error


def load_tasks(names: Sequence[str], *, chat: bool, limit: int | None = None) -> Tasks:
    """Tasks by name, tag or path of a YAML file; the shipped ones first, then lm-eval's own.

    Raises UnknownName with the closest name, and UsageError where data cannot be had or a task would run a model's code.
    """
    manager = _manager(own_only=True)
    if any(name not in manager.all_tasks and not _is_file(name) for name in names):
        manager = _manager(own_only=False)
    loaded: dict[str, Any] = {}
    for name in names:
        if name not in manager.all_tasks and not _is_file(name):
            near = difflib.get_close_matches(name, manager.all_tasks, n=1)
            raise UnknownName(
                f"there is no task called {name!r}",
                fix=(f"did you mean {near[0]!r}? " if near else "") + "fidelity tasks --list names the shipped ones",
            )
        loaded |= _load(manager, name)
    unsafe = sorted(name for name, task in loaded.items() if getattr(task, "UNSAFE_CODE", False))
    if unsafe:
        raise UsageError(f"{', '.join(unsafe)} would run code that a model wrote", fix="choose other tasks")
    images = sorted(name for name, task in loaded.items() if getattr(task, "MULTIMODAL", False))
    if images:
        raise UsageError(f"{', '.join(images)} shows images or sound, which no target here takes", fix="choose others")
    return Tasks(loaded, chat, limit)


def shipped_tasks() -> dict[str, list[str]]:
    """Names of the shipped tasks by tag."""
    manager = _manager(own_only=True)
    found: dict[str, list[str]] = {tag: [] for tag in manager.all_tags}
    for name in manager.all_subtasks:
        for tag in manager.task_index[name].tags:
            found[tag].append(name)
    return found


def language_model(answerer: Answerer) -> Any:
    """An answerer as an lm-eval model, for ``lm_eval.simple_evaluate(model=...)`` and for our own scoring."""
    from lm_eval.api.model import LM  # noqa: PLC0415

    class Model(LM):  # type: ignore[misc]
        """Hands requests over and answers back."""

        def loglikelihood(self, requests: list[Any]) -> list[tuple[float, bool]]:
            return [_pair(one) for one in answerer.answer(_requests(requests))]

        def loglikelihood_rolling(self, requests: list[Any]) -> list[float]:
            return [_pair(one)[0] for one in answerer.answer(_requests(requests))]

        def generate_until(self, requests: list[Any]) -> list[str]:
            return [one.text if isinstance(one, Written) else "" for one in answerer.answer(_requests(requests))]

        def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:  # noqa: FBT001, FBT002 - lm-eval's signature
            return _as_text(chat_history, add_generation_prompt=add_generation_prompt)

        @property
        def tokenizer_name(self) -> str:
            return "each target's own"

        def chat_template(self, chat_template: bool | str = False) -> str:  # noqa: FBT001, FBT002 - lm-eval's signature
            return "each target's own"

    return Model()


@dataclass(frozen=True)
class _Stored:
    """Answers that are there already."""

    answers: Mapping[str, Answered]

    def answer(self, asked: Sequence[Asked]) -> list[Answered]:
        missing = "not answered"
        return [
            self.answers.get(one.key, Written(lost=missing) if isinstance(one, Writing) else Scored(lost=missing))
            for one in asked
        ]


def _manager(*, own_only: bool) -> Any:
    """lm-eval's index of the shipped tasks; with its own ones, which takes some twenty seconds, unless ``own_only``."""
    try:
        from lm_eval.tasks import TaskManager  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtra("tasks need lm-eval", fix="pip install 'fidelity-harness[lm-eval]'") from error
    with _quiet():
        return TaskManager(include_path=str(shipped_folder() / "tasks"), include_defaults=not own_only)


def _load(manager: Any, name: str) -> dict[str, Any]:
    try:
        with _quiet():
            return dict(manager.load([name])["tasks"])
    except Exception as error:  # lm-eval, datasets and a task's own functions raise what they like
        raise UsageError(
            f"the task {name} cannot be loaded: {type(error).__name__}: {safe_line(str(error), 200)}",
            where=name,
            fix="its data may need the network, an account, or a package; the shipped tasks need none of them",
        ) from error


def _is_file(name: str) -> bool:
    return name.endswith((".yaml", ".yml")) and Path(name).is_file()


def _as_text(messages: list[dict[str, str]], add_generation_prompt: bool = True) -> str:  # noqa: FBT001, FBT002 - lm-eval's signature
    """A conversation in the place of a prompt's text: every target renders it with its own template."""
    return _CHAT + json.dumps({"messages": messages, "begun": not add_generation_prompt})


def _opening(text: str) -> Opening:
    if not text.startswith(_CHAT):
        return Opening(text=text)
    stored = json.loads(text.removeprefix(_CHAT))
    messages = tuple(Message(role=one["role"], content=one["content"]) for one in stored["messages"])
    return Opening(messages=messages, begun=stored["begun"])


def _requests(instances: Sequence[Any]) -> list[Asked]:
    """Instances as requests; the same instance again, as lm-eval repeats them, gets a key of its own."""
    seen: Counter[str] = Counter()
    found: list[Asked] = []
    for one in instances:
        key = _SEPARATOR.join(str(part) for part in (one.task_name, one.doc_id, one.idx))
        seen[key] += 1
        found.append(_request(one, key if seen[key] == 1 else f"{key}{_SEPARATOR}{seen[key]}"))
    return found


def _request(one: Any, key: str) -> Asked:
    if one.request_type == "loglikelihood_rolling":
        return Rolling(key=key, text=one.args[0])
    if one.request_type == "loglikelihood":
        return Continuation(key=key, opening=_opening(one.args[0]), text=one.args[1])
    settings = one.args[1]
    until = settings.get("until") or ()
    drawn = settings.get("do_sample") or False
    return Writing(
        key=key,
        opening=_opening(one.args[0]),
        until=(until,) if isinstance(until, str) else tuple(until),
        limit=int(settings.get("max_gen_toks") or settings.get("max_new_tokens") or _MOST_TOKENS),
        temperature=float(settings.get("temperature") or 0.0) if drawn else 0.0,
    )


def _pair(one: Answered) -> tuple[float, bool]:
    return (one.total, one.greedy) if isinstance(one, Scored) and not one.lost else (_LEAST, False)


def _item_scores(name: str, samples: list[Any], task: Any, answers: Mapping[str, Answered]) -> list[ItemScore]:
    """One score per item, by the first filter of the task."""
    first = samples[0]["filter"]
    own: dict[str, list[tuple[Asked, Answered | None]]] = {}
    for request in _requests(task.instances):
        own.setdefault(_owner(request.key)[1], []).append((request, answers.get(request.key)))
    return [_item_score(one, own[str(one["doc_id"])]) for one in samples if one["filter"] == first]


def _item_score(sample: Any, own: list[tuple[Asked, Answered | None]]) -> ItemScore:
    doc, item = sample["doc"], str(sample["doc_id"])
    lost = next((one.lost if one else "not answered" for _, one in own if one is None or one.lost), "")
    cut = [(asked, one) for asked, one in own if isinstance(one, Written) and one.finish == "length"]
    filtered = sample["filtered_resps"]
    choices = all(isinstance(one, tuple) for one in filtered)
    said = (
        str(max(range(len(filtered)), key=lambda place: filtered[place][0]))
        if choices and len(filtered) > 1
        else str(filtered[0][1] if choices else filtered[0])
    )
    named = str(doc.get("id") or item)
    return ItemScore(
        item=named,
        group=str(doc.get("group") or named),
        answer=said[:_LONGEST],
        target=str(sample["target"])[:_LONGEST],
        metrics={} if lost else {key: float(sample[key]) for key in sample["metrics"] if _number(sample[key])},
        cut=bool(cut),
        early=any(isinstance(asked, Writing) and 0 < one.tokens < _WHOLE * asked.limit for asked, one in cut),
        lost=lost,
    )


def _planted(loaded: Mapping[str, Any], *, right: bool) -> dict[str, Answered]:
    """Answers made from the items' own targets: all right, or all wrong."""
    found: dict[str, Answered] = {}
    for task in loaded.values():
        siblings = Counter(one.doc_id for one in task.instances)
        for one, request in zip(task.instances, _requests(task.instances), strict=True):
            if isinstance(request, Writing):
                target = task.doc_to_target(one.doc)
                first = target[0] if isinstance(target, list) and target else target
                found[request.key] = Written(text=str(first) if right else _WRONG, finish="stop", tokens=1)
                continue
            golden = _golden(task, one.doc) if siblings[one.doc_id] > 1 else {0}
            likely = (one.idx in golden) is right
            found[request.key] = Scored(logs=(-1.0 if likely else -1000.0,), greedy=likely)
    return found


def _golden(task: Any, doc: Any) -> set[int]:
    """The numbers of the right choices of an item."""
    target = task.doc_to_text(doc) if task.multiple_input else task.doc_to_target(doc)
    every = target if isinstance(target, list) else [target]
    choices = task.doc_to_choice(doc)
    return {choices.index(one) if isinstance(one, str) and one in choices else one for one in every if one != ""}


def _self_check(head: TaskHead, wrong: list[ItemScore], right: list[ItemScore]) -> SelfCheck:
    """How many items a metric fails, and passes, on answers that were made to."""
    metric = next((name for name in head.metrics if wrong and name in wrong[0].metrics), "")
    sign = 1.0 if head.higher_is_better.get(metric, True) else -1.0
    if not metric:
        return SelfCheck(task=head.name, items=len(wrong), failed=0, passed=0, passable=False)
    scores = [(sign * bad.metrics[metric], sign * good.metrics[metric]) for bad, good in zip(wrong, right, strict=True)]
    best = max(good for _, good in scores) if head.kind != "generate_until" else max(sign, 0.0)
    return SelfCheck(
        task=head.name,
        items=len(scores),
        failed=sum(bad < best for bad, _ in scores),
        passed=sum(good > bad for bad, good in scores),
        passable=head.kind in {"multiple_choice", "loglikelihood"},
    )


def _number(value: object) -> bool:
    return isinstance(value, bool | int | float) and math.isfinite(value)


def _owner(key: str) -> tuple[str, str]:
    """Task and item of a request's key."""
    task, item, *_ = key.split(_SEPARATOR)
    return task, item


def _first_faulty(task: Any) -> int | None:
    """The number of the first item whose texts cannot be made."""
    with contextlib.suppress(Exception):
        for number, doc in enumerate(task.eval_docs):
            try:
                task.doc_to_text(doc)
                task.doc_to_target(doc)
            except Exception:
                return number
    return None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without lm-eval's log and progress bars: events tell what happens."""
    log = logging.getLogger("lm_eval")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        log.setLevel(level)


def versions() -> dict[str, str]:
    """What asks and scores."""
    from importlib.metadata import version  # noqa: PLC0415

    return {"lm-eval": version("lm-eval")}
