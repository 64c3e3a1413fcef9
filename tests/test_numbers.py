"""Numbers as text."""

from __future__ import annotations

import pytest

from harness.numbers import interval, number, share, valued


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.12345, "0.123"),
        (12.345, "12.3"),
        (4.2e-6, "4.20e-06"),
        (float("nan"), "-"),
        (float("inf"), "infinite"),
    ],
)
def test_three_significant_digits(value, text):
    """Readable, and never a bare nan."""
    assert number(value) == text


def test_shares_near_one_keep_their_nines():
    """99.97 % is not 100 %; exactly 1 is."""
    assert share(0.9997) == "99.970 %"
    assert share(1.0) == "100 %"
    assert valued(0.5, "share") == "50.0 %"


def test_an_interval_that_was_not_measured_is_a_dash():
    """No half intervals."""
    assert interval(float("nan"), 0.3, "nat") == "-"
