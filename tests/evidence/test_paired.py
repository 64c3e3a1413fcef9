"""McNemar's test against statsmodels, and the mid-p value against its definition."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from statsmodels.stats.contingency_tables import mcnemar as oracle

from harness.evidence.paired import mcnemar


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
