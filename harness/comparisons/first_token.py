"""How far apart two lists of log-probabilities of one next token are, as far as lists that end somewhere can tell. Pure."""

from __future__ import annotations

import math

from harness.targets.endpoint.told import Told


def first_token_gap(one: Told | None, other: Told | None) -> float | None:
    """Total variation between two first tokens' distributions, at least: what is not listed counts as little as it can.

    Between 0 and 1; None where one side lists nothing that can be compared, or names its tokens otherwise.
    """
    if one is None or other is None or not len(one) or not len(other):
        return None
    p, q = _probabilities(one), _probabilities(other)
    if min(len(p), len(q)) < _FEWEST or {type(name) for name in p} != {type(name) for name in q}:
        return None
    return min(max(_gain(p, q), _gain(q, p)), 1.0)


_FEWEST = 3  # listed tokens
_SUM = 1.02  # of probabilities, as told by a host that rounds


def shared_names(one: Told | None, other: Told | None) -> float:
    """The part of the shorter list that the other names, too; 0 where one is missing."""
    if one is None or other is None or not len(one) or not len(other):
        return 0.0
    p, q = _probabilities(one), _probabilities(other)
    return len(p.keys() & q.keys()) / max(min(len(p), len(q)), 1)


def _probabilities(told: Told) -> dict[int | str, float]:
    """The list, without the token that was drawn if it lies behind the end of the list."""
    (own, its), *others = told.pairs()[0]
    last = min((value for _, value in others), default=math.inf)
    listed = [*([(own, its)] if its >= last else []), *others]
    found = {name: math.exp(min(value, 0.0)) for name, value in listed}
    return found if sum(found.values()) <= _SUM else {}


def _gain(p: dict[int | str, float], q: dict[int | str, float]) -> float:
    """Mass that p has beyond q; a token that q does not list may have as much as the last that it does."""
    last = min(q.values())
    return sum(max(mass - q.get(name, last), 0.0) for name, mass in p.items())
