"""Three answers instead of two: inside a bound, outside it, or not enough data to say."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Literal

from harness.evidence.clustered import LEVEL, Estimate

Side = Literal["inside", "outside", "inconclusive"]

#: Intervals of 24 to 104 real documents miss on the accusing side more than twice as often as they should, because a few
#: documents weigh much; an accusation is asked for at a third of its level (``bench/gate_calibration.py`` and
#: ``gate_held_out.py``, decision 0008).
CAUTION = 3


def accusing_level(alpha: float = (1 - LEVEL) / 2, count: int = 1) -> float:
    """The level of the two-sided interval whose near end must lie outside a bound, so that at most alpha are accused.

    ``count`` bounds are judged together (Bonferroni).
    """
    return 1 - 2 * alpha / (CAUTION * count)


def against_bound(estimate: Estimate, bound: float) -> Side:
    """Where a quantity stands to an upper bound, judged by its two-sided 95 % interval.

    ``inside`` if the upper end is at most the bound (one-sided error 2.5 %), ``outside`` if the lower end exceeds it
    (2.5 %), otherwise ``inconclusive``. A NaN anywhere is inconclusive: what was not measured is not inside.
    """
    if math.isnan(estimate.low) or math.isnan(estimate.high) or math.isnan(bound):
        return "inconclusive"
    if estimate.high <= bound:
        return "inside"
    return "outside" if estimate.low > bound else "inconclusive"


def detectable_ratio(bound: float, reach: float, relative_se: float, power: float = 0.8) -> float:
    """The smallest true ratio that would have been found to exceed ``bound`` with the given power.

    ``reach`` is how far the logarithm of an accusing interval reaches down. Normal approximation: bound x exp(reach + z se).
    Trust it as an order of size, not to the digit.
    """
    return bound * math.exp(min(reach + NormalDist().inv_cdf(power) * relative_se, 700.0))


def clusters_needed(distance: float, reach: float, clusters: int) -> int:
    """About how many clusters would decide, if value and spread stayed as they are.

    ``distance`` from value to bound and ``reach`` of the interval from the value towards it, on one scale: the reach shrinks
    with the square root of the number of clusters.
    """
    if distance <= 0 or not math.isfinite(reach):
        return 0
    return math.ceil(clusters * (reach / distance) ** 2)
