"""Candidates against each other, in words."""

from __future__ import annotations

import math

from harness.comparisons.pairs import Place, Ranking
from harness.numbers import number


def place_text(place: Place) -> str:
    """``2``, or ``1 to 2`` where the intervals allow no order."""
    return f"{place.best}" if place.best == place.worst else f"{place.best} to {place.worst}"


def ranking_rows(ranking: Ranking) -> list[tuple[Place, str]]:
    """Every candidate from the closest, with the step from the one before it."""
    pairs = {frozenset((pair.first, pair.second)): pair for pair in ranking.pairs}
    rows: list[tuple[Place, str]] = []
    for index, place in enumerate(ranking.places):
        step = ""
        if index:
            before = ranking.places[index - 1].label
            pair = pairs[frozenset((before, place.label))]
            times, low, high = pair.ratio, pair.low, pair.high
            if pair.first == before:
                times, low, high = (1 / x if x else math.inf for x in (times, high, low))
            sure = "" if pair.closer else "; the order is not sure"
            step = f"{number(times)} times {before} ({number(low)} to {number(high)}{sure})"
        rows.append((place, step))
    return rows
