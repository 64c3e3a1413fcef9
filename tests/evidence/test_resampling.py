"""Quantile bootstrap and jackknife."""

from __future__ import annotations

import numpy as np
import pytest

from harness.evidence.resampling import jackknife, quantile_interval


def test_quantile_with_too_few_exceedances_is_suppressed():
    """A 99.9 % quantile of 500 tokens is one outlier's value and is not shown."""
    values = np.random.default_rng(0).exponential(1.0, 500)
    estimate = quantile_interval(values, np.repeat(np.arange(10), 50), 0.999, np.random.default_rng(1))
    assert np.isnan(estimate.value)
    assert "too few" in estimate.note


def test_median_interval_holds_the_truth_and_is_reproducible():
    """The interval of the median of an exponential law holds log 2, and the same seed gives the same interval."""
    values = np.random.default_rng(0).exponential(1.0, 4000)
    clusters = np.repeat(np.arange(40), 100)
    one = quantile_interval(values, clusters, 0.5, np.random.default_rng(5))
    two = quantile_interval(values, clusters, 0.5, np.random.default_rng(5))
    assert (one.value, one.low, one.high) == (two.value, two.low, two.high)
    assert one.low < np.log(2) < one.high


def test_jackknife_of_a_mean_is_the_standard_error():
    """For the mean the jackknife is exact."""
    values = np.random.default_rng(4).normal(size=30)
    estimate = jackknife(lambda weight: float(weight @ values / weight.sum()), 30, 30)
    assert estimate.se == pytest.approx(values.std(ddof=1) / np.sqrt(30))
