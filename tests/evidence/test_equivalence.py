"""Three-way decisions against a bound: error rates by simulation."""

from __future__ import annotations

import numpy as np
from scipy.stats import binom

from harness.evidence.clustered import Estimate, Sums, positive_mean_interval, t_quantile
from harness.evidence.contrasts import ratio_of_means
from harness.evidence.equivalence import accusing_level, against_bound, clusters_needed, detectable_ratio


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
    ratio = detectable_ratio(2.0, t_quantile(30) * se, se)
    found = sum(against_bound(one(ratio), 2.0) == "outside" for _ in range(400))
    assert binom.ppf(0.001, 400, 0.72) <= found <= binom.ppf(0.999, 400, 0.88)


def test_more_clusters_are_asked_for_when_the_distance_is_small():
    """Half the distance needs four times the documents."""
    assert clusters_needed(0.05, 0.1, 20) >= 3.9 * clusters_needed(0.1, 0.1, 20)
    assert clusters_needed(0.1, 0.1, 20) == 20
    assert clusters_needed(0.1, float("inf"), 1) == 0


def test_an_accusation_by_a_ratio_allows_for_a_document_that_was_not_drawn():
    """Where few documents hold much of what is divided by, the plain interval accuses more than twice as often, too often."""
    rng, draws = np.random.default_rng(7), 2000
    true = np.exp(0.3**2 / 2 - 1 / 2)
    for documents in (12, 36):
        accused = {True: 0, False: 0}
        for _ in range(draws):
            hard, ones = rng.normal(0, 1, documents), np.ones(documents)
            ours, band = Sums(np.exp(-0.3 * hard), ones), Sums(np.exp(hard), ones)
            for unseen in accused:
                accused[unseen] += ratio_of_means(ours, band, accusing_level(), unseen=unseen).low > true
        assert accused[True] <= binom.ppf(0.999, draws, 0.025)
        assert accused[False] > max(2 * accused[True], 0.025 * draws)
