"""The detector of changes: it forgets the honest past, and false alarms are as rare as promised."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.evidence.sequential.monitor import detector_path


def days(rng, mean, count):
    """Log e-values of a Gaussian shift by 1 against none, the day's mean being ``mean``."""
    return rng.normal(mean, 1.0, count) - 0.5


def test_a_late_change_is_found_as_fast_as_an_early_one():
    """A plain product would have to win back what a hundred honest days cost it."""
    rng = np.random.default_rng(2)
    honest, changed = days(rng, 0.0, 100), days(rng, 1.0, 40)
    path = detector_path(np.concatenate([honest, changed]))
    assert (path[:100] < math.log(1000)).all()
    assert np.flatnonzero(path[100:] >= math.log(1000))[0] <= 25
    assert np.concatenate([honest, changed]).cumsum()[125] < 0


def test_the_mean_time_to_a_false_alarm_is_at_least_promised():
    """1/alpha audits; runs cut at 20 times that count as that long, which only lowers the mean."""
    alpha, rng, waits = 0.05, np.random.default_rng(4), []
    for _ in range(300):
        found = np.flatnonzero(detector_path(days(rng, 0.0, 400)) >= math.log(1 / alpha))
        waits.append(found[0] + 1 if len(found) else 400)
    assert np.mean(waits) - 3 * np.std(waits) / math.sqrt(len(waits)) >= 1 / alpha


def test_it_goes_on_from_its_last_value():
    """Bit for bit; one number is all that has to be kept between days."""
    steps = days(np.random.default_rng(1), 0.3, 30)
    whole = detector_path(steps)
    assert np.array_equal(detector_path(steps[12:], start=float(whole[11])), whole[12:])


def test_an_audit_that_failed_is_no_evidence():
    """NaN is refused, an audit that ruled itself out is not."""
    with pytest.raises(ValueError, match="not a number"):
        detector_path([0.1, math.nan])
    assert detector_path([1.0, -math.inf, 2.0])[-1] == pytest.approx(2.0)
