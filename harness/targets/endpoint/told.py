"""What a host says of the probabilities of the tokens that it sent: read here and nowhere else, believed nowhere.

Shapes: OpenAI's chat form ``logprobs.content[]`` with ``top_logprobs``; ids as llama.cpp's ``id`` or vLLM's ``token_id:N`` in
place of the token; a token's own bytes otherwise. Values are natural logarithms, as sent; -9999 stands for minus infinity.
"""

from __future__ import annotations

import math
from typing import Any

MOST_LISTED, FEW_LISTED = 20, 5  # tokens at each place: the most that OpenAI's form allows, and what most hosts do

#: One token of a reply with its log-probability, then the listed alternatives: ids where the host tells them, otherwise
#: the token's bytes as characters of Latin-1.
Told = tuple[tuple[int | str, float], ...]

_PREFIX = "token_id:"
_LOWEST = -9999.0
_ABOVE, _OVER = 1e-3, 0.02  # what rounding may put a logarithm above 0, and a sum of probabilities above 1
BROKEN = 1.0  # no logarithm of a probability, and a number that JSON can hold
_MOST_PLACES = 1 << 16


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
        return found
    if isinstance(name, str) and name.startswith(_PREFIX) and name.removeprefix(_PREFIX).isdecimal():
        return int(name.removeprefix(_PREFIX)[:12])
    return None


def read_told(choice: dict[str, Any]) -> tuple[Told, ...] | None:
    """Every token with what is listed at its place; None where the host lists nothing, or something that cannot be read.

    A value that is no number stays in as ``BROKEN``, so that it is told and not passed over.
    """
    entries = told_entries(choice)
    if not entries:
        return None
    found = []
    for entry in entries:
        own = _one(entry)
        listed = entry.get("top_logprobs") if isinstance(entry, dict) else None
        others = [_one(one) for one in listed[: 4 * MOST_LISTED]] if isinstance(listed, list) else []
        if own is None or None in others:
            return None
        known = dict(reversed([one for one in (own, *others) if one]))
        found.append((own, *((name, value) for name, value in known.items() if name != own[0])))
    return tuple(found) if any(len(one) > 1 or one[0][1] != 0.0 for one in found) else None


def unsound(place: Told) -> bool:
    """Whether what is told of a token cannot be a part of a distribution."""
    values = [value for _, value in place]
    return max(values) > _ABOVE or sum(math.exp(min(value, 0.0)) for value in values) > 1.0 + _OVER


def _one(entry: Any) -> tuple[int | str, float] | None:
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


def _number(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or math.isnan(value):
        return BROKEN
    return min(max(float(value), _LOWEST), BROKEN)
