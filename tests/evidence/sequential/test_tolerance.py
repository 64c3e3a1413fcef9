"""Beyond and within a tolerance: each errs at most alpha at its own edge, and both are found where they are true."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom

from harness.evidence.sequential.tolerance import Tolerance, betting_path

BOUNDS = Tolerance(0.05, 0.15)
ALPHA = 0.05


def scores(rng, mean, count=300):
    """Skewed scores in [0, 1] with a given mean."""
    return rng.beta(2 * mean, 2 * (1 - mean), count)


def crossings(excess, runs=300):
    """How often each side is decided within 300 requests."""
    rng = np.random.default_rng(8)
    found = np.zeros(2)
    for _ in range(runs):
        beyond, within = betting_path(scores(rng, 0.1 + excess), scores(rng, 0.1), BOUNDS)
        found += [beyond.max() >= math.log(1 / ALPHA), within.max() >= math.log(1 / ALPHA)]
    return found


def test_each_side_errs_at_most_alpha_at_its_edge():
    """A mean excess exactly at the bound, with stopping at the worst moment."""
    limit = binom.ppf(0.999, 300, ALPHA)
    assert crossings(BOUNDS.beyond)[0] <= limit
    assert crossings(BOUNDS.within)[1] <= limit


def test_what_is_true_is_found():
    """A candidate that is far off, and one that is like the control."""
    far, like = crossings(0.4, 40), crossings(0.0, 40)
    assert far[0] == 40
    assert far[1] == 0
    assert like[1] == 40
    assert like[0] <= 2


def test_no_score_is_worse_than_ruin():
    """The largest excess on every request leaves capital that is finite and positive."""
    ones, zeros = np.ones(500), np.zeros(500)
    for a, b in ((ones, zeros), (zeros, ones)):
        for path in betting_path(a, b, BOUNDS):
            assert np.isfinite(path).all()


@pytest.mark.parametrize("bad", [np.nan, -0.1, 1.1])
def test_what_is_no_score_is_refused(bad):
    """Missing and impossible scores."""
    with pytest.raises(ValueError, match="scores"):
        betting_path(np.array([bad]), np.array([0.5]), BOUNDS)


@pytest.mark.parametrize("bounds", [(0.1, 0.1), (0.2, 0.1), (-0.1, 0.1), (0.0, 1.0)])
def test_bounds_in_another_order_are_refused(bounds):
    """Beyond must lie below within."""
    with pytest.raises(ValueError, match="tolerance"):
        Tolerance(*bounds)
