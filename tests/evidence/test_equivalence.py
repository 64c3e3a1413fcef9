"""Three-way decisions against a bound: error rates by simulation."""

from __future__ import annotations

import numpy as np
from scipy.stats import binom

from harness.evidence.clustered import Estimate, positive_mean_interval
from harness.evidence.equivalence import against_bound, clusters_needed, detectable_ratio


def estimate(low, high):
    return Estimate((low + high) / 2, low, high, 0.1, 100, 20, 1.0)


def test_the_three_answers():
    """Inside, outside and undecided by where the interval lies."""
    assert against_bound(estimate(0.1, 0.2), 0.3) == "inside"
    assert against_bound(estimate(0.4, 0.5), 0.3) == "outside"
    assert against_bound(estimate(0.2, 0.4), 0.3) == "inconclusive"


def test_what_was_not_measured_is_not_inside():
    """NaN bounds are inconclusive."""
    assert against_bound(estimate(float("nan"), 0.2), 0.3) == "inconclusive"


def test_false_decisions_at_the_bound_are_rare():
    """With the truth exactly on the bound, 'inside' and 'outside' each happen in about 2.5 % of runs, never over 6 %."""
    rng = np.random.default_rng(11)
    bound = float(np.exp((0.3**2 + 1.0) / 2))
    clusters = np.repeat(np.arange(40), 50)
    sides = []
    for _ in range(800):
        values = np.exp(rng.normal(0, 0.3, 40)[clusters] + rng.normal(0, 1.0, len(clusters)))
        sides.append(against_bound(positive_mean_interval(values, clusters), bound))
    ceiling = binom.ppf(0.999, 800, 0.04)
    assert sides.count("inside") <= ceiling
    assert sides.count("outside") <= ceiling
    assert sides.count("inconclusive") > 700


def test_detectable_ratio_is_found_in_most_runs():
    """The planner's 80 % power is 80 % within simulation error."""
    rng = np.random.default_rng(12)
    clusters = np.repeat(np.arange(30), 40)

    def one(factor):
        values = factor * np.exp(rng.normal(0, 0.3, 30)[clusters] + rng.normal(0, 0.8, len(clusters)))
        return positive_mean_interval(values / np.exp((0.09 + 0.64) / 2), clusters)

    se = float(np.mean([one(1.0).se for _ in range(50)]))
    ratio = detectable_ratio(2.0, se, 30)
    found = sum(against_bound(one(ratio), 2.0) == "outside" for _ in range(400))
    assert binom.ppf(0.001, 400, 0.72) <= found <= binom.ppf(0.999, 400, 0.88)


def test_more_clusters_are_asked_for_when_the_distance_is_small():
    """Half the distance needs four times the documents."""
    assert clusters_needed(0.05, 0.1, 20) >= 3.9 * clusters_needed(0.1, 0.1, 20)
