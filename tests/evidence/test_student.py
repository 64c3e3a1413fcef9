"""Student's t quantiles without scipy."""

from __future__ import annotations

import pytest
from scipy.special import stdtr, stdtrit

from harness.evidence.student import upper_quantile, upper_tail


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 8, 11, 35, 43, 103, 1000, 5001])
@pytest.mark.parametrize("probability", [0.5, 0.8, 0.95, 0.975, 0.9875, 0.9995, 0.9999])
def test_quantiles_are_those_of_scipy(freedom: int, probability: float) -> None:
    """Every number of documents and every level in use gives scipy's quantile to ten digits."""
    assert upper_quantile(probability, freedom) == pytest.approx(
        float(stdtrit(freedom, probability)), rel=1e-10, abs=1e-12
    )


@pytest.mark.parametrize("freedom", [1, 2, 11, 103, 1000])
def test_tails_are_those_of_scipy_and_never_claim_more_than_rounding_allows(freedom: int) -> None:
    """p-values agree with scipy down to 1e-10; beyond 1e-13 the larger, safer number stands."""
    for point in (0.0, 0.5, 2.0, 5.0, 12.0, 1e3, 1e6):
        true = float(stdtr(freedom, -point))
        assert upper_tail(point, freedom) == pytest.approx(
            max(true, 1e-13), rel=1e-5, abs=1e-15 if true > 1e-13 else 2e-13
        )
