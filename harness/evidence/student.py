"""Student's t quantiles in plain Python: judging a stored run again must not wait for scipy to be imported.

Degrees of freedom are whole numbers here (clusters - 1), for which the distribution function is a finite sum.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

_STEPS = 60
_LEAST = 1e-13  # a tail is a difference from one half
_CLOSE = 1e-12  # relative; the rounding of the sum itself is of this size


@lru_cache(maxsize=4096)
def upper_quantile(probability: float, freedom: int) -> float:
    """The t that a Student variable with ``freedom`` degrees exceeds with ``1 - probability``.

    For 0.5 <= probability < 1. Newton from the normal quantile, which lies below: the tail is convex there, so every
    step stays below the root. Agrees with ``scipy.special.stdtrit`` to ten digits for probabilities up to 0.9999
    (``tests/evidence/test_student.py``); further out the subtraction from one half costs digits.
    """
    if freedom == 1:  # Cauchy's distribution, whose inverse has a name
        return math.tan(math.pi * (probability - 0.5))
    point = NormalDist().inv_cdf(probability)
    for _ in range(_STEPS):
        step = (_upper_tail(point, freedom) - (1 - probability)) / _density(point, freedom)
        point += step
        if abs(step) <= _CLOSE * max(point, 1.0):
            break
    return point


def upper_tail(point: float, freedom: int) -> float:
    """P(T > point) for a point of at least zero, and never less than 1e-13: below that the sum is rounding."""
    return max(_upper_tail(point, freedom), _LEAST)


def _upper_tail(point: float, freedom: int) -> float:
    """Abramowitz & Stegun 26.7.3 and 26.7.4, with the angle whose tangent is point / sqrt(freedom)."""
    angle = math.atan(point / math.sqrt(freedom))
    square = math.cos(angle) ** 2
    odd = freedom % 2
    term = (math.cos(angle) if freedom > 1 else 0.0) if odd else 1.0
    total = term
    for index in range(3 if odd else 2, freedom - 1, 2):
        term *= square * (index - 1) / index
        total += term
    inner = math.sin(angle) * total
    return (1 - (2 / math.pi * (angle + inner) if odd else inner)) / 2


def _density(point: float, freedom: int) -> float:
    log = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2) - (freedom + 1) / 2 * math.log1p(point**2 / freedom)
    return math.exp(log) / math.sqrt(freedom * math.pi)
