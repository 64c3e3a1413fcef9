"""Billed prompt tokens against expected ones: what the differences depend on, read without any fault in mind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from pydantic import JsonValue

from harness.comparisons.model import Result

_FEWEST = 3  # conversations in which a part must occur before its share is believed


class CountRow(Result):
    """One chat request: the tokens that the reference's prompt has, and those that were billed (None: none told).

    ``kind``: ``repeat`` is the same request again, ``slope`` a long text of one sort, ``probe`` a case of the suite.
    """

    kind: Literal["repeat", "slope", "probe"]
    case: str
    number: int
    request: dict[str, JsonValue]
    expected: int
    billed: int | None
    problem: str = ""

    @property
    def difference(self) -> int:
        """Billed less expected; 0 where nothing was billed."""
        return 0 if self.billed is None else self.billed - self.expected


def _messages(request: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = request.get("messages")
    return [message for message in found if isinstance(message, dict)] if isinstance(found, list) else []


def _role(name: str) -> Callable[[Mapping[str, Any]], int]:
    return lambda request: sum(message.get("role") == name for message in _messages(request))


def _instructions(request: Mapping[str, Any]) -> int:
    return _role("system")(request) + _role("developer")(request)


def _calls(request: Mapping[str, Any]) -> int:
    return sum(len(message.get("tool_calls") or ()) for message in _messages(request))


#: What a number of tokens can depend on, in the words of a report.
PARTS: dict[str, Callable[[Mapping[str, Any]], int]] = {
    "per request": lambda _: 1,
    "per request without a system message": lambda request: int(not _role("system")(request)),
    "per request without a system or developer message": lambda request: int(not _instructions(request)),
    "per request with a system message": lambda request: int(bool(_role("system")(request))),
    "per request with a system or developer message": lambda request: int(bool(_instructions(request))),
    "per message": lambda request: len(_messages(request)),
    "per user message": _role("user"),
    "per assistant message": _role("assistant"),
    "per tool result": _role("tool"),
    "per request with tools": lambda request: int(bool(request.get("tools"))),
    "per tool": lambda request: len(request.get("tools") or ()),
    "per tool call": _calls,
}


def structure(rows: Sequence[CountRow], parts: Literal[1, 2]) -> list[str]:
    """Sentences that reproduce every difference exactly: so many tokens per part, or per two ``parts``.

    Pure arithmetic over the rows that were billed; empty where nothing differs or nothing so simple fits. A sentence
    is a description, not a cause: a hidden prompt and a way of billing can look alike.
    """
    seen = [row for row in rows if row.billed is not None]
    differences = [row.difference for row in seen]
    if not any(differences):
        return []
    counts = {name: [part(row.request) for row in seen] for name, part in PARTS.items()}
    common = {name: column for name, column in counts.items() if sum(map(bool, column)) >= _FEWEST}
    if parts == 1:
        return [f"{share:+d} {name}" for name, column in common.items() if (share := _share(column, differences))]
    found = []
    names = list(common)
    for k, first in enumerate(names):
        for second in names[k + 1 :]:
            pair = _shares(common[first], common[second], differences)
            if pair:
                found.append(f"{pair[0]:+d} {first} and {pair[1]:+d} {second}")
    return found


def _share(column: Sequence[int], differences: Sequence[int]) -> int:
    """The whole number c with differences = c times column; 0 where there is none."""
    share = next(d // n if d % n == 0 else 0 for n, d in zip(column, differences, strict=True) if n)
    return share if [share * n for n in column] == list(differences) else 0


def _shares(first: Sequence[int], second: Sequence[int], differences: Sequence[int]) -> tuple[int, int] | None:
    """Whole numbers a, b, neither 0, with differences = a times first plus b times second."""
    rows = list(zip(first, second, differences, strict=True))
    for x, y, d in rows[1:]:
        p, q, e = rows[0]
        determinant = p * y - q * x
        if not determinant:
            continue
        a, b = (e * y - q * d) / determinant, (p * d - e * x) / determinant
        if a != int(a) or b != int(b) or not a or not b:
            return None
        return (int(a), int(b)) if all(a * u + b * v == w for u, v, w in rows) else None
    return None
