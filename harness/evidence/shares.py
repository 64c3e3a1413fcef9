"""Intervals of shares."""

from __future__ import annotations

import math

_Z = 1.959963984540054


def wilson(right: float, of: float) -> tuple[float, float]:
    """95 % interval of a share from independent trials (Wilson 1927); honest from a handful of trials on.

    Not to be trusted for trials that move together: give it the counts divided by their design effect.
    """
    if not of:
        return math.nan, math.nan
    share, square = right / of, _Z**2
    middle = (share + square / (2 * of)) / (1 + square / of)
    reach = _Z / (1 + square / of) * math.sqrt(share * (1 - share) / of + square / (4 * of * of))
    return max(middle - reach, 0.0) if right else 0.0, min(middle + reach, 1.0) if right < of else 1.0
