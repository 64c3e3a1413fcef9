"""Can a task's metric fail? Answers that are made to be right and to be wrong, and what became of them.

``task`` is lm-eval's own object; nothing of lm-eval is imported here.
"""

from __future__ import annotations

import contextlib
import inspect
from collections import Counter
from collections.abc import Sequence
from typing import Any

from pydantic import JsonValue

from harness.identity import digest_json
from harness.suites.requests import Answered, Asked, Scored, Writing, Written
from harness.suites.scores import ItemScore, SelfCheck, TaskHead, metric_of

_WRONG = "\u00a7"  # a reply that answers nothing


def planted(task: Any, requests: Sequence[Asked], *, right: bool) -> dict[str, Answered]:
    """Answers to a task's requests made from the items' own targets: all right, or all wrong."""
    siblings = Counter(one.doc_id for one in task.instances)
    instances = [one for one in task.instances for _ in range(one.repeats or 1)]
    found: dict[str, Answered] = {}
    for one, request in zip(instances, requests, strict=True):
        if isinstance(request, Writing):
            target = task.doc_to_target(one.doc)
            first = target[0] if isinstance(target, list) and target else target
            found[request.key] = Written(text=str(first) if right else _WRONG, finish="stop", tokens=1)
            continue
        golden = _golden(task, one.doc) if siblings[one.doc_id] > 1 else {0}
        likely = (one.idx in golden) is right
        found[request.key] = Scored(logs=(-1.0 if likely else -1000.0,), greedy=likely)
    return found


def check_metric(head: TaskHead, wrong: Sequence[ItemScore], right: Sequence[ItemScore]) -> SelfCheck:
    """How many items the deciding metric fails, and passes, on answers that were made to."""
    metric = metric_of(head, right)
    sign = 1.0 if head.higher_is_better.get(metric, True) else -1.0
    scores = [
        (sign * bad.metrics[metric], sign * good.metrics[metric])
        for bad, good in zip(wrong, right, strict=True)
        if metric in bad.metrics and metric in good.metrics
    ]
    best = max((good for _, good in scores), default=0.0) if head.kind != "generate_until" else max(sign, 0.0)
    return SelfCheck(
        task=head.name,
        metric=metric,
        items=len(scores),
        failed=sum(bad < best for bad, _ in scores),
        passed=sum(good > bad for bad, good in scores),
        passable=head.kind in {"multiple_choice", "loglikelihood"},
    )


def content_digest(task: Any) -> str:
    """Digest of a task's settings, functions and expected answers: what decides scores beside what is asked."""
    settings = {key: value for key, value in vars(task.config).items() if key != "metadata"}
    targets = [str(task.doc_to_target(one.doc)) for one in task.instances if one.idx == 0]
    return digest_json({"settings": _plain(settings), "targets": list(targets)})


def _plain(value: Any) -> JsonValue:
    """A setting as JSON: functions by their source, other objects by their type."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if callable(value):
        with contextlib.suppress(OSError, TypeError):
            return inspect.getsource(value)
        return str(getattr(value, "__qualname__", type(value).__name__))
    return value if isinstance(value, str | int | float | bool) or value is None else str(type(value))


def _golden(task: Any, doc: Any) -> set[int]:
    """The numbers of the right choices of an item."""
    target = task.doc_to_text(doc) if task.multiple_input else task.doc_to_target(doc)
    every = target if isinstance(target, list) else [target]
    choices = task.doc_to_choice(doc)
    return {choices.index(one) if isinstance(one, str) and one in choices else one for one in every if one != ""}
