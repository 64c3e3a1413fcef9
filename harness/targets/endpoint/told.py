"""What a host says of the probabilities of the tokens that it sent: read here and nowhere else, believed nowhere.

Shapes: OpenAI's chat form ``logprobs.content[]`` with ``top_logprobs``; ids as llama.cpp's ``id`` or vLLM's ``token_id:N`` in
place of the token; a token's own bytes otherwise. Values are natural logarithms, as sent; -9999 stands for minus infinity.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic_core import core_schema

from harness.targets.listed import PLACEHOLDER, Listed

MOST_LISTED, FEW_LISTED = 20, 5  # tokens at each place: the most that OpenAI's form allows, and what most hosts do

_PREFIX = "token_id:"
_LOWEST = -9999.0
_ABOVE, _OVER = 1e-3, 0.02  # what rounding may put a logarithm above 0, and a sum of probabilities above 1
BROKEN = 1.0  # no logarithm of a probability, and a number that JSON can hold
_MOST_PLACES = 1 << 12  # longer replies than any audit asks for
_NONE, _SPELLED = -1, -2
_DIGITS = 8  # more than any id has
_ROUNDED = 0.05  # nats by which rounding may put a token on the other side of the end of its list

Name = int | str
Pair = tuple[Name, float]


@dataclass(frozen=True, eq=False, slots=True)
class Told:
    """One reply's tokens, ``[tokens, listed]``: the token that was sent first, then what is listed beside it.

    ``ids`` are ids where the host tells them, -1 where nothing is, and -2 - k for a token that is told by its bytes, as
    characters of Latin-1 in ``names[k]``. Arrays, because a reply has thousands of these numbers.
    """

    ids: NDArray[np.int64]
    logs: NDArray[np.float64]
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, places: Sequence[Sequence[Pair]]) -> Told:
        """From pairs per token."""
        names: dict[str, int] = {}

        def number(name: Name) -> int:
            return name if isinstance(name, int) else _SPELLED - names.setdefault(name, len(names))

        listed = Listed.of([[(number(name), value) for name, value in place] for place in places])
        return cls(listed.ids, listed.logs, tuple(names))

    @classmethod
    def __get_pydantic_core_schema__(cls, *_: object) -> core_schema.CoreSchema:
        """Stored as pairs per token."""
        stored = core_schema.plain_serializer_function_ser_schema(lambda told: told.pairs())
        return core_schema.no_info_plain_validator_function(
            lambda value: value if isinstance(value, Told) else cls.of(value), serialization=stored
        )

    def __len__(self) -> int:
        """Tokens."""
        return len(self.ids)

    def __eq__(self, other: object) -> bool:
        """Whether the same was told."""
        return isinstance(other, Told) and self.pairs() == other.pairs()

    __hash__ = None  # type: ignore[assignment]

    def pairs(self) -> list[list[Pair]]:
        """What was told, token by token."""
        return [
            [(self._name(int(one)), float(value)) for one, value in zip(ids, logs, strict=True) if one != _NONE]
            for ids, logs in zip(self.ids, self.logs, strict=True)
        ]

    def head(self, count: int) -> Told:
        """The first tokens alone."""
        return Told(self.ids[:count], self.logs[:count], self.names)

    def listed(self, look: Callable[[str], int]) -> Listed:
        """With the ids of what is told by its bytes; ``look`` gives -1 for what is not known."""
        table = np.array([look(name) for name in self.names] or [_NONE], dtype=np.int64)
        ids = np.where(self.ids <= _SPELLED, table[np.clip(_SPELLED - self.ids, 0, len(table) - 1)], self.ids)
        return Listed(ids, np.where(self.ids == _NONE, np.nan, self.logs))  # what cannot be named keeps its value

    def unsound(self) -> NDArray[np.bool_]:
        """For each token, whether what is told of it cannot be a part of a distribution."""
        there = self.ids != _NONE
        sums = np.exp(np.minimum(self.logs, 0.0), where=there, out=np.zeros_like(self.logs)).sum(-1)
        return np.array((np.where(there, self.logs, 0.0).max(-1, initial=0.0) > _ABOVE) | (sums > 1.0 + _OVER))

    def _name(self, one: int) -> Name:
        return one if one >= 0 else self.names[_SPELLED - one]


def told_entries(choice: dict[str, Any]) -> list[Any]:
    """The entries of a choice's log-probabilities, one per token; empty if there are none."""
    logprobs = choice.get("logprobs")
    entries = logprobs.get("content") if isinstance(logprobs, dict) else None
    return entries[:_MOST_PLACES] if isinstance(entries, list) else []


def token_id(entry: Any) -> int | None:
    """The id of a token, where the host tells it."""
    if not isinstance(entry, dict):
        return None
    found, name = entry.get("id"), entry.get("token")
    if type(found) is int:
        return found if 0 <= found < 1 << 24 else None
    if isinstance(name, str) and name.startswith(_PREFIX) and name.removeprefix(_PREFIX).isdecimal():
        return int(name.removeprefix(_PREFIX)[:7])
    return None


def read_told(choice: dict[str, Any]) -> Told | None:
    """Every token with what is listed at its place; None where the host lists nothing, or something that cannot be read.

    A value that is no number stays in as ``BROKEN``, so that it is told and not passed over.
    """
    entries = told_entries(choice)
    whole = _whole(entries) if entries else None
    if whole:
        return whole
    found: list[list[Pair]] = []
    for entry in entries:
        own = _one(entry)
        listed = entry.get("top_logprobs") if isinstance(entry, dict) else None
        others = [_one(one) for one in listed[: 4 * MOST_LISTED]] if isinstance(listed, list) else []
        if own is None or None in others:
            return None
        known = dict(reversed([one for one in others if one]))
        real = [value for value in known.values() if value > PLACEHOLDER]
        if real and own[0] not in known and min(real) + _ROUNDED < own[1] <= 0.0:
            return None  # it belongs into the list, and the list names it otherwise
        known.pop(own[0], None)
        found.append([own, *known.items()])
    return Told.of(found) if any(len(one) > 1 or one[0][1] != 0.0 for one in found) else None


def _whole(entries: list[Any]) -> Told | None:
    """All tokens at once, where every list holds as many ids with sound values; a reply has thousands of them."""
    try:
        ids = np.array([[one["id"], *(other["id"] for other in one["top_logprobs"])] for one in entries])
        logs = np.array([[one["logprob"], *(other["logprob"] for other in one["top_logprobs"])] for one in entries])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    if ids.ndim != 2 or ids.shape != logs.shape:
        return None
    if ids.dtype != np.int64 or logs.dtype != np.float64 or not 1 < ids.shape[-1] <= 4 * MOST_LISTED:
        return None
    if not ((ids >= 0) & (ids < 1 << 24) & (logs >= _LOWEST) & (logs <= 0.0)).all():
        return None
    listed = np.sort(ids[:, 1:])
    if (listed[:, 1:] == listed[:, :-1]).any():
        return None
    again = ids[:, 1:] == ids[:, :1]
    least = np.where(logs[:, 1:] > PLACEHOLDER, logs[:, 1:], 0.0).min(-1)
    if (~again.any(-1) & (logs[:, 0] > least + _ROUNDED)).any():
        return None
    ids[:, 1:][again], logs[:, 1:][again] = _NONE, np.nan
    return Told(ids, logs)


def read_pair(name: Any, value: Any) -> tuple[int, float] | None:
    """An id that is written as a key, with its log-probability."""
    digits = name.removeprefix(_PREFIX) if isinstance(name, str) else ""
    return (int(digits), _number(value)) if digits.isdecimal() and len(digits) < _DIGITS else None


def _one(entry: Any) -> Pair | None:
    """A token and its log-probability."""
    if not isinstance(entry, dict):
        return None
    number = _number(entry.get("logprob"))
    name = token_id(entry)
    if name is not None:
        return name, number
    spelled = entry.get("bytes")
    if isinstance(spelled, list) and spelled and all(type(b) is int and 0 <= b < 256 for b in spelled):
        return bytes(spelled[:256]).decode("latin-1"), number
    token = entry.get("token")
    return (token.encode("utf-8", "replace")[:256].decode("latin-1"), number) if isinstance(token, str) else None


def _nan(value: float) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _number(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or _nan(value):
        return BROKEN
    return float(min(max(value, _LOWEST), BROKEN))  # compared before it is converted: JSON's integers have no end
