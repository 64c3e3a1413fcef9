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
import numbers
import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from harness.errors import MissingExtra, UnknownName, UsageError
from harness.observations.planted import check_metric, content_digest, planted
from harness.redact import safe_line
from harness.suites.load import shipped_folder
from harness.suites.model import Message
from harness.suites.requests import Answered, Asked, Continuation, Opening, Rolling, Scored, Writing, Written
from harness.suites.scores import ItemScore, SelfCheck, TaskHead

_CHAT = "\x00conversation\x00"
_SEPARATOR = "\x1f"  # of the parts of a key
_SEED = 1234  # of few-shot examples and of tasks that draw: the same for every target and every time
#: What a reply can be asked for; other settings would be left out in silence.
_HONOURED = frozenset({"until", "max_gen_toks", "do_sample", "temperature"})
_IDLE = {"top_p": 1.0, "top_k": (0, -1, 50), "num_beams": 1, "repetition_penalty": 1.0, "num_return_sequences": 1}
_LEAST = -1e30  # log-probability that lm-eval sees of what was lost; such items are not counted
_MOST_TOKENS = 256  # of a reply, where a task does not say
_WHOLE = 0.98  # part of the limit from which on a reply that ended for its length reached it
_FAILED = "fidelity: the scorer failed"
_NAME = 200  # characters of an item's own name
_LONGEST_TEXT = 20_000  # of a reply, for where it parts from another
_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+")
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
            with _quiet(), _seeded(*self.loaded.values()):  # in one go, as lm-eval builds them when it scores
                for name, task in self.loaded.items():
                    self._build(name, task)
            self._asked = [one for task in self.loaded.values() for one in _requests(task.instances, repeated=True)]
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
                filter=str(task._filters[0].name) if getattr(task, "_filters", None) else "",
                items=items[name],
                limit=limits.get(name, 0),
                content=content_digest(task),
                dataset=_dataset(task),
            )
            for name, task in self.loaded.items()
        }

    def scored(self, answers: Mapping[str, Answered]) -> dict[str, list[ItemScore]]:
        """Scores of the items of every task from the answers to ``asked``, by key; what is missing counts as lost.

        Raises UsageError for a task that asks something else every time it is loaded: nothing could be joined.
        """
        asked = self.asked()
        samples = self._evaluated(_Stored(answers))["samples"]
        again = [one for task in self.loaded.values() for one in _requests(task.instances, repeated=True)]
        changed = next((one.key for one, other in zip(asked, again, strict=False) if one != other), "")
        if changed or len(asked) != len(again):
            raise UsageError(
                "this task makes other items each time it is loaded, so that answers cannot be held against each other",
                where=f"task {_owner(changed or asked[-1].key)[0]}",
                fix="give its data a fixed order and fixed choices",
            )
        return {name: _item_scores(samples[name], task, answers) for name, task in self.loaded.items()}

    def self_check(self) -> dict[str, SelfCheck]:
        """Score answers that were made to fail and answers that were made to pass: a metric that cannot fail proves nothing."""
        self.asked()
        wrong, right = (
            self.scored(
                {
                    key: answer
                    for task in self.loaded.values()
                    for key, answer in planted(task, _requests(task.instances, repeated=True), right=right).items()
                }
            )
            for right in (False, True)
        )
        return {name: check_metric(head, wrong[name], right[name]) for name, head in self._heads().items()}

    def numbers(self, answers: Mapping[str, Answered]) -> dict[str, dict[str, float]]:
        """lm-eval's own aggregated numbers per task and metric (``acc,none``)."""
        results = self._evaluated(_Stored(answers))["results"]
        return {
            name: {key: float(value) for key, value in results[name].items() if "," in key and _number(value)}
            for name in self.loaded
        }

    def _evaluated(self, answerer: Answerer) -> Any:
        from lm_eval import evaluate  # noqa: PLC0415

        with _quiet(), _seeded(*self.loaded.values()):
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
    for task in loaded.values():
        _guard(task)
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


def _requests(instances: Sequence[Any], *, repeated: bool = False) -> list[Asked]:
    """Instances as requests; the same one again gets a key of its own. ``repeated`` counts repeats that are not there yet."""
    seen: Counter[str] = Counter()
    found: list[Asked] = []
    for one in instances:
        key = _SEPARATOR.join(str(part) for part in (one.task_name, one.doc_id, one.request_type, one.idx))
        for _ in range(one.repeats or 1 if repeated else 1):
            seen[key] += 1
            found.append(_request(one, key if seen[key] == 1 else f"{key}{_SEPARATOR}{seen[key]}"))
    return found


def _request(one: Any, key: str) -> Asked:
    if one.request_type == "loglikelihood_rolling":
        return Rolling(key=key, text=one.args[0])
    if one.request_type == "loglikelihood":
        return Continuation(key=key, opening=_opening(one.args[0]), text=one.args[1])
    from lm_eval.models.utils import normalize_gen_kwargs  # noqa: PLC0415

    settings = dict(normalize_gen_kwargs(one.args[1], _MOST_TOKENS))
    odd = {name: value for name, value in settings.items() if name not in _HONOURED and not _is_idle(name, value)}
    if odd:
        raise UsageError(
            f"the task asks for {', '.join(f'{name}={value}' for name, value in sorted(odd.items()))}, which is not done here",
            where=f"task {one.task_name}",
            fix="leave it out of the task's generation_kwargs; replies are greedy, or drawn at a temperature",
        )
    return Writing(
        key=key,
        opening=_opening(one.args[0]),
        until=tuple(settings["until"]),
        limit=int(settings["max_gen_toks"]),
        temperature=float(settings["temperature"]) if settings["do_sample"] else 0.0,
    )


def _is_idle(name: str, value: object) -> bool:
    """Whether a setting changes nothing."""
    idle = _IDLE.get(name)
    return value is None or (value in idle if isinstance(idle, tuple) else value == idle)


def _pair(one: Answered) -> tuple[float, bool]:
    return (one.total, one.greedy) if isinstance(one, Scored) and not one.lost else (_LEAST, False)


def _item_scores(samples: list[Any], task: Any, answers: Mapping[str, Answered]) -> list[ItemScore]:
    """One score per item, by the first filter of the task."""
    first = samples[0]["filter"]
    own: dict[str, list[tuple[Asked, Answered | None]]] = {}
    for request in _requests(task.instances, repeated=True):
        own.setdefault(_owner(request.key)[1], []).append((request, answers.get(request.key)))
    field = str((task.config.metadata or {}).get("groups", ""))
    return [_item_score(one, own[str(one["doc_id"])], field) for one in samples if one["filter"] == first]


def _item_score(sample: Any, own: list[tuple[Asked, Answered | None]], field: str) -> ItemScore:
    """``field`` is the item's that names its group; items without one are a group by their content, whatever the task."""
    doc, item = sample["doc"], str(sample["doc_id"])
    named = doc if isinstance(doc, dict) else {}
    lost = next((one.lost if one else "not answered" for _, one in own if one is None or one.lost), "")
    cut = [(asked, one) for asked, one in own if isinstance(one, Written) and one.finish == "length"]
    filtered = sample["filtered_resps"]
    choices = all(isinstance(one, tuple) for one in filtered)
    said = (
        str(max(range(len(filtered)), key=lambda place: filtered[place][0]))
        if choices and len(filtered) > 1
        else str(filtered[0][1] if choices else filtered[0])
    )
    greedy = [
        one for asked, one in own if isinstance(asked, Writing) and not asked.temperature and isinstance(one, Written)
    ]
    written = next((one for one in greedy if not one.lost), None)
    metrics = {key: float(sample[key]) for key in sample["metrics"] if _number(sample[key])}
    return ItemScore(
        item=item,
        name=str(named.get("id") or named.get("name") or item)[:_NAME],
        group=f"{field} {named[field]}" if field in named else f"item {sample['doc_hash']}",
        answer=said[:_LONGEST],
        target=str(sample["target"])[:_LONGEST],
        metrics={} if lost else metrics,
        text=written.text[:_LONGEST_TEXT] if written else None,
        ends=written.ends if written else (),
        margins=written.margins if written else (),
        cut=bool(cut),
        early=any(isinstance(asked, Writing) and 0 < one.tokens < _WHOLE * asked.limit for asked, one in cut),
        shortened=any(one is not None and one.cut > 0 for _, one in own),
        lost=lost or ("the task's scorer failed" if _FAILED in sample["metrics"] else ""),
    )


def _number(value: object) -> bool:
    """Whether lm-eval's value is one number; numpy's own kinds are."""
    return isinstance(value, numbers.Real | np.bool_) and math.isfinite(float(value))


def _guard(task: Any) -> None:
    """A scorer that fails on one reply must not end the run: the item is lost, and says so."""
    score = task.process_results

    def guarded(doc: Any, results: Any) -> Any:
        try:
            return score(doc, results)
        except Exception:  # a task's own code raises what it likes
            return {_FAILED: 1.0}

    task.process_results = guarded


@contextlib.contextmanager
def _seeded(*tasks: Any) -> Iterator[None]:
    """The same few-shot examples and drawn items every time; the state of the generators is put back."""
    before, numpy_before = random.getstate(), np.random.get_state()
    random.seed(_SEED)
    np.random.seed(_SEED)
    for task in tasks:
        with contextlib.suppress(AttributeError):
            task.set_fewshot_seed(_SEED)
    try:
        yield
    finally:
        random.setstate(before)
        np.random.set_state(numpy_before)


def _dataset(task: Any) -> str:
    """The id of the task's data on the Hub; a builder ("json") or a folder of this machine is none."""
    path = str(getattr(task.config, "dataset_path", None) or "")
    return path if _HUB_ID.fullmatch(path) and not Path(path).exists() else ""


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
    """What asks, answers and scores, as far as it is installed."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

    found = {}
    for name in ("lm-eval", "torch", "transformers", "bitsandbytes"):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
