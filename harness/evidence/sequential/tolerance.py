"""Scores between 0 and 1, candidate beside honest control: beyond a tolerance, within it, or not decided yet."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from harness.evidence.clustered import Floats

#: Stakes as fractions of the largest that cannot go bankrupt; the capital is spread evenly over them.
_STAKES = np.array([0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.95])


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Two bounds on the mean excess of the candidate's score over the control's, declared before the first request.

    BEYOND refutes "the mean excess is at most ``beyond``", WITHIN refutes "it is at least ``within``". ``beyond`` must be
    smaller, and at least twice the largest difference between honest stacks.
    """

    beyond: float
    within: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.beyond < self.within < 1.0:
            raise ValueError("a tolerance needs 0 <= beyond < within < 1")


def betting_path(candidate: Floats, control: Floats, tolerance: Tolerance) -> tuple[Floats, Floats]:
    """Log e after every request, for BEYOND and for WITHIN, ``[requests]`` each.

    prod(1 + lambda (D_c - D_h - beyond)) and prod(1 - lambda (D_c - D_h - within)), mixed over fixed stakes lambda.
    Scores in [0, 1], one per request, on the same prompt, prompts drawn at random; the requests are the unit, and need
    not be identically distributed as long as each mean excess, given the past, obeys the null. A NaN is refused: a score
    that is missing is not a score. (Shekhar and Ramdas 2021.)
    """
    scores = np.stack([candidate, control])
    if not ((scores >= 0) & (scores <= 1)).all():
        raise ValueError("scores must lie between 0 and 1; leave no request out, and give no NaN")
    excess = candidate - control
    up = np.log1p(_STAKES / (1.0 + tolerance.beyond) * (excess - tolerance.beyond)[:, None])
    down = np.log1p(-_STAKES / (1.0 - tolerance.within) * (excess - tolerance.within)[:, None])
    spread = -math.log(len(_STAKES))
    return logsumexp(up.cumsum(0), axis=1) + spread, logsumexp(down.cumsum(0), axis=1) + spread
