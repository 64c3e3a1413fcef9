"""Reading bits off a ladder."""

from __future__ import annotations

import numpy as np
import pytest

from harness.evidence.ladder import equivalent_bits

RUNGS = {8.0: 0.003, 6.0: 0.02, 4.0: 0.3, 3.0: 2.5}


def read(value, spread=0.1):
    rng = np.random.default_rng(3)
    count = np.full(20, 100.0)
    shape = np.exp(rng.normal(0, spread, 20))
    rungs = {bits: kl * count * shape for bits, kl in RUNGS.items()}
    return equivalent_bits(value * count * shape, rungs, count)


def test_a_rung_reads_as_itself():
    """The 4-bit rung behaves like 4 bits, with an interval of no width: candidate and rung share every document."""
    reading = read(0.3)
    assert (reading.value, reading.low, reading.high) == pytest.approx((4.0, 4.0, 4.0))


def test_between_two_rungs_the_logarithm_is_interpolated():
    """The geometric mean of the 4- and 6-bit divergences reads as 5 bits."""
    assert read(np.sqrt(0.3 * 0.02)).value == pytest.approx(5.0, abs=0.02)


@pytest.mark.parametrize(("value", "words"), [(1e-5, "closer"), (9.0, "further")])
def test_beyond_the_ends_the_end_is_returned_with_a_note(value, words):
    """Nothing is extrapolated."""
    reading = read(value)
    assert reading.value in {3.0, 8.0}
    assert words in reading.note


def test_a_ladder_that_does_not_fall_says_so():
    """A non-monotone ladder is ambiguous."""
    count = np.full(10, 10.0)
    rungs = {3.0: count * 1.0, 4.0: count * 2.0}
    assert "monotone" in equivalent_bits(count * 1.5, rungs, count).note
