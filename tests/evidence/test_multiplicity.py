"""Families of tests against statsmodels, and e-values beyond what a float holds."""

from __future__ import annotations

import gc
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from harness.evidence.multiplicity import benjamini_hochberg, e_benjamini_hochberg, e_lond, holm

P = st.lists(st.floats(0, 1), min_size=1, max_size=30)


@pytest.fixture(scope="module")
def quiet():
    """Statsmodels collects garbage in every call, which takes long in a process that holds much."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("quiet")
@given(P)
def test_adjusted_p_values_are_those_of_statsmodels(values):
    """Holm and Benjamini-Hochberg, in the order of the input."""
    for ours, name in ((holm, "holm"), (benjamini_hochberg, "fdr_bh")):
        assert ours(values) == pytest.approx(multipletests(values, method=name)[1], abs=1e-12)


def test_discoveries_among_e_values():
    """The largest k with e at least m / (q k); a family of one is an ordinary test."""
    assert e_benjamini_hochberg([math.log(21.0)], 0.05) == [True]
    assert e_benjamini_hochberg([math.log(19.0)], 0.05) == [False]
    assert e_benjamini_hochberg([math.log(25.0), math.log(25.0), 0.0], 0.1) == [True, True, False]
    assert e_benjamini_hochberg([5000.0, -5000.0], 0.01) == [True, False]


def test_false_discoveries_are_rare_under_any_dependence():
    """Identical e-values on ten true nulls: all or none, and all with probability at most q."""
    rng = np.random.default_rng(1)
    found = 0
    for _ in range(2000):
        log_e = 2.0 * rng.normal() - 2.0  # a log-normal e-value of mean 1
        found += any(e_benjamini_hochberg([log_e] * 10, 0.1))
    assert found <= 200


def test_days_one_after_another():
    """Early evidence is judged at a larger level than late; a day without evidence stays without."""
    decisions = e_lond([math.log(1e4), 0.0, math.log(1e4), 900.0], 0.05)
    assert decisions[0]
    assert not decisions[1]
    assert decisions[3]


def test_what_is_not_a_number_decides_nothing():
    """NaN is refused, not taken for no evidence."""
    with pytest.raises(ValueError, match="not a number"):
        e_benjamini_hochberg([float("nan")], 0.05)
