"""The decisions of a template: what has to be seen of each, and which way one evaluation went; runs in the child only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jinja2

SELECTING = {"select", "reject", "selectattr", "rejectattr"}


@dataclass(slots=True)
class Seen:
    """One evaluation of a decision: what went in, what it was held against, and the number of the conversation."""

    value: Any
    against: list[Any]
    run: int


@dataclass(slots=True)
class Decision:
    """One decision of a template, what has to be seen of it, and what was."""

    line: int
    kind: str
    words: str
    needs: set[Any]
    operator: str = ""
    names: tuple[str, ...] = ()  # variables and keys that it looks at
    outcomes: set[Any] = field(default_factory=set)
    seen: list[Seen] = field(default_factory=list)
    choices: dict[str, set[str]] = field(default_factory=dict)  # of a choice by index: what there was, what was taken

    @property
    def open(self) -> set[Any]:
        """What has still to be seen."""
        return self.needs - self.outcomes


def size_of(value: Any) -> int:
    """How long a value is; -1 for what has no length."""
    try:
        return len(value)
    except TypeError:
        return -1


def _acted(_: Decision, value: Any, __: list[Any], result: Any) -> bool:
    if isinstance(result, list | tuple) and isinstance(value, str):
        return len(result) > 1
    if isinstance(value, str) or isinstance(result, str):
        return isinstance(value, str) and isinstance(result, str) and str(result) != str(value)
    return size_of(result) != size_of(value)


def _found(decision: Decision, _: Any, __: list[Any], result: Any) -> bool:
    """Whether a result is another than the first one was."""
    first = decision.choices.setdefault("first", {repr(result)})
    return repr(result) not in first


def _was_there(_: Decision, __: Any, against: list[Any], result: Any) -> bool:
    if against and len(against) > 1 and result is against[1]:
        return False
    return not isinstance(result, jinja2.Undefined) and result is not None


def _selected(_: Decision, value: Any, __: list[Any], result: Any) -> set[bool]:
    """True if any were left, False if any were left out."""
    return ({True} if result else set()) | ({False} if value is None or len(result) < size_of(value) else set())


def _defaulted(_: Decision, value: Any, against: list[Any], __: Any) -> bool:
    return isinstance(value, jinja2.Undefined)


def _cut(_: Decision, value: Any, __: list[Any], result: Any) -> bool:
    return 0 < size_of(result) != size_of(value)


def _chosen(decision: Decision, value: Any, against: list[Any], _: Any) -> bool:
    """Whether every member of what is always the same was taken once; what changes comes from the conversation."""
    decision.choices.setdefault(repr(value)[:2000], set()).add(repr(against[:1])[:200])
    if len(decision.choices) > 1:
        return True
    return len(next(iter(decision.choices.values()))) >= max(size_of(value), 1)


def _true(_: Decision, __: Any, ___: list[Any], result: Any) -> bool:
    return bool(result)


OUTCOMES: dict[str, Callable[[Decision, Any, list[Any], Any], Any]] = {
    "true": _true,
    "entered": lambda _, value, __, ___: bool(size_of(value)) if size_of(value) >= 0 else "unknown",
    "acts": _acted,
    "finds": _found,
    "unknown": lambda *_: "came",
    "there": _was_there,
    "get": _was_there,
    "select": _selected, "reject": _selected, "selectattr": _selected, "rejectattr": _selected,
    "default": _defaulted, "d": _defaulted,
    "slice": _cut,
    "choice": _chosen,
}  # fmt: skip
