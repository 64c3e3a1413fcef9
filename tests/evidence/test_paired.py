"""McNemar's test against statsmodels, and the mid-p value against its definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binom, binomtest
from statsmodels.stats.contingency_tables import mcnemar as oracle

from harness.evidence.paired import (
    bootstrap_difference,
    chance_to_find,
    items_needed,
    mcnemar,
    paired_loss,
    smallest_loss,
    tango,
)


@given(st.integers(0, 60), st.integers(0, 60))
def test_exact_p_values_are_those_of_statsmodels(lost, won):
    """Both directions alike."""
    if lost + won:
        assert mcnemar(lost, won).exact == pytest.approx(oracle([[5, lost], [won, 5]], exact=True).pvalue)
    assert mcnemar(lost, won).exact == mcnemar(won, lost).exact


@given(st.integers(0, 60), st.integers(0, 60))
def test_the_mid_p_value_counts_half_of_what_was_seen(lost, won):
    """Twice the smaller tail, less the probability of the split itself; 1 for an even split."""
    found = mcnemar(lost, won)
    assert 0 < found.mid <= found.exact <= 1
    if lost == won:
        assert found.mid == pytest.approx(1.0)
    elif lost + won:
        tail = binom.cdf(min(lost, won), lost + won, 0.5)
        assert found.mid == pytest.approx(2 * tail - binom.pmf(min(lost, won), lost + won, 0.5))


def test_no_flips_say_nothing():
    """Two sides that agree on every item."""
    assert (mcnemar(0, 0).exact, mcnemar(0, 0).mid) == (1.0, 1.0)


def loss_of(lost, won, same, groups=None):
    """A loss from counts; the items in the order lost, won, same, each its own group unless ``groups`` are given."""
    before = np.array([1.0] * lost + [0.0] * won + [1.0] * same)
    after = np.array([0.0] * lost + [1.0] * won + [1.0] * same)
    return paired_loss(before, after, np.arange(len(before)) if groups is None else groups)


def test_a_loss_of_independent_items_is_mcnemars_exact_test():
    """One-sided, and its interval is Tango's: the published values of a small table, and a length without any flip."""
    for lost, won in ((8, 2), (5, 5), (0, 0), (1, 7)):
        found = loss_of(lost, won, 40)
        assert found.worse == pytest.approx(
            binomtest(lost, lost + won, 0.5, alternative="greater").pvalue if lost + won else 1
        )
        assert found.value == pytest.approx((lost - won) / (lost + won + 40))
    assert tango(0, 0, 100) == pytest.approx((-0.036993, 0.036993), abs=1e-5)
    assert tango(7, 25, 1600 / 2) == pytest.approx(tuple(-one for one in reversed(tango(25, 7, 800))))


@pytest.mark.parametrize(("lost", "won", "items"), [(3, 1, 30), (0, 2, 50), (10, 10, 200), (4, 0, 12)])
def test_the_interval_holds_the_differences_whose_score_is_small(lost, won, items):
    """At its ends the score of the constrained likelihood, maximised by brute force, is the normal quantile."""
    for end, sign in zip(tango(lost, won, items), (1, -1), strict=True):
        rare = minimize_scalar(
            lambda p, d=end: -(lost * math.log(max(p + d, 1e-12)) + won * math.log(max(p, 1e-12))
                               + (items - lost - won) * math.log(max(1 - 2 * p - d, 1e-12))),
            bounds=(max(0.0, -end), min(1.0, (1 - end) / 2)), method="bounded", options={"xatol": 1e-10},
        ).x  # fmt: skip
        spread = items * (2 * rare + end - end**2)
        assert sign * (lost - won - items * end) / math.sqrt(spread) == pytest.approx(1.95996, abs=2e-3)


def test_items_of_one_group_count_once():
    """Five flips in one passage are one flip: no evidence, and an interval as from few items."""
    groups = np.array([0] * 5 + list(range(1, 46)))
    together, apart = loss_of(5, 0, 45, groups), loss_of(5, 0, 45)
    assert together.worse == 0.5
    assert apart.worse == pytest.approx(1 / 32)
    assert together.high - together.low > apart.high - apart.low


@pytest.mark.parametrize("size", [1, 4])
def test_a_candidate_that_is_no_worse_is_accused_as_often_as_stated(size):
    """1,000 label-preserving simulations: flips come in groups and go either way; accusations at most alpha, exact bound."""
    rng = np.random.default_rng(7 + size)
    alpha, accused, outside = 0.05, 0, 0
    for _ in range(1000):
        groups = np.repeat(np.arange(400 // size), size)
        flips = np.repeat(rng.random(400 // size) < 0.12, size) * np.repeat(rng.choice([-1, 1], 400 // size), size)
        before = np.where(flips > 0, 1.0, np.where(flips < 0, 0.0, (rng.random(400) < 0.6) * 1.0))
        found = paired_loss(before, before - flips, groups)
        accused += found.worse <= alpha
        outside += not found.low <= 0 <= found.high
    assert binomtest(accused, 1000, alpha, alternative="greater").pvalue > 0.001
    assert binomtest(outside, 1000, 0.05, alternative="greater").pvalue > 0.001


def test_a_planted_loss_is_found_as_often_as_planned():
    """Two points at 1,000 items with a churn of one in ten: the planner's power, by simulation."""
    rng = np.random.default_rng(3)
    planned = chance_to_find(1000, 0.06, 0.04, 0.05)
    found = sum(loss_of(*rng.multinomial(1000, [0.06, 0.04, 0.9])).worse <= 0.05 for _ in range(1000))
    assert binomtest(found, 1000, planned).pvalue > 0.001
    assert chance_to_find(1000, 0.04, 0.04, 0.05) <= 0.05


def test_the_smallest_loss_is_the_one_with_the_stated_power():
    """And the number of items that would show a loss agrees with it."""
    for churn in (0.0, 0.02, 0.2):
        smallest = smallest_loss(500, churn, 0.01)
        side = churn / 2
        assert chance_to_find(500, smallest + side, side, 0.01) == pytest.approx(0.8, abs=0.02)
        assert items_needed(smallest, churn, 0.01) == pytest.approx(500, rel=0.05)
    assert smallest_loss(3, 0.0, 0.01) == math.inf


def test_scores_of_any_size_have_a_bootstrap_interval_over_groups():
    """It covers as it should with 30 groups of four, is wide where nothing moved, and infinite for one group."""
    rng = np.random.default_rng(11)
    groups = np.repeat(np.arange(30), 4)
    missed = 0
    for seed in range(300):
        shift = np.repeat(rng.normal(0.3, 1.0, 30), 4) + rng.normal(0, 0.5, 120)
        _, low, high = bootstrap_difference(shift, groups, seed)
        missed += not low <= 0.3 <= high
    assert binomtest(missed, 300, 0.05, alternative="greater").pvalue > 0.001
    mean, low, high = bootstrap_difference(np.zeros(120), groups, 0)
    assert (mean, low < 0 < high) == (0.0, True)
    assert bootstrap_difference(np.zeros(4), np.zeros(4, dtype=int), 0)[1:] == (-math.inf, math.inf)


def clustered(rng, groups=25, items=40):
    """Paired answers to groups of items; flips and losses cling together within groups. The true loss is 2 points."""
    flips, losses = rng.beta(0.9, 8.1, groups), rng.beta(5.4, 3.6, groups)
    flipped = rng.random((groups, items)) < flips[:, None]
    difference = np.where(flipped, np.where(rng.random((groups, items)) < losses[:, None], 1.0, -1.0), 0.0).ravel()
    return np.maximum(difference, 0.0), np.maximum(-difference, 0.0), np.repeat(np.arange(groups), items)


def test_few_large_groups_clear_nobody_more_often_than_stated():
    """Null: the loss is the true one, 2 points, on 25 groups of 40. Its upper end lies below in at most 2.5 % (bound at 1e-4)."""
    rng = np.random.default_rng(20261130)
    below = sum(paired_loss(*clustered(rng)).high < 0.02 for _ in range(500))
    assert below <= binom.ppf(1 - 1e-4, 500, 0.025)


def test_a_loss_that_one_group_holds_reaches_further_than_one_that_all_share():
    """The same flips, in one group or one in each: what was not drawn counts where groups differ; single items keep Tango's."""
    groups = np.repeat(np.arange(25), 40)
    ones = np.ones(1000)
    together, spread = ones.copy(), ones.copy()
    together[:25], spread[::40] = 0.0, 0.0
    assert paired_loss(ones, together, groups).high > paired_loss(ones, spread, groups).high
    alone = paired_loss(ones, spread, np.arange(1000))
    assert (alone.low, alone.high) == tango(25, 0, 1000)
