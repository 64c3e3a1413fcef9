"""The band of honest arithmetic: false alarms, false clearances, and how soon either answer comes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from harness.evidence.sequential.band import CAP, LEAST, MOST, first_reached, log_over, log_under, yardstick

ALPHA, RUNS, REQUESTS = 0.05, 1000, 60


def draw(rng, ratio, spread):
    """Honest distances, and those of a host that lies ``ratio`` times as far away; both vary with the text and on their own."""
    text = np.exp(0.7 * rng.normal(size=REQUESTS))
    own = np.exp(spread * rng.normal(size=(2, REQUESTS)) - spread**2 / 2)
    return 1e-3 * ratio * text * own[0], 1e-3 * text * own[1]


@pytest.mark.parametrize("spread", [0.1, 0.5, 1.0])
def test_a_host_at_the_honest_distance_is_not_accused(spread):
    """Also where one reply's distance says little of another's; exact binomial bound."""
    rng = np.random.default_rng(1)
    wrong = sum(bool(first_reached(log_over(*draw(rng, 1.0, spread)), ALPHA)) for _ in range(RUNS))
    assert wrong <= binom.ppf(0.999, RUNS, ALPHA)


def test_the_bounds_themselves_are_tested_at_their_level():
    """At LEAST times the yardstick the first errs at most alpha of the time, at MOST times it the second."""
    rng = np.random.default_rng(2)
    over = under = 0
    for _ in range(RUNS):
        _, band = draw(rng, 1.0, 0.5)
        noise = np.exp(0.4 * rng.normal(size=REQUESTS) - 0.08)
        over += bool(first_reached(log_over(LEAST * yardstick(band) * noise, band), ALPHA))
        under += bool(
            first_reached(
                log_under(MOST * yardstick(band) * np.where(rng.random(REQUESTS) < 0.5, 0.5, 1.5), band), ALPHA
            )
        )
    assert max(over, under) <= binom.ppf(0.999, RUNS, ALPHA)


@pytest.mark.parametrize(("ratio", "most"), [(300.0, 4), (10.0, 10), (4.0, 40)])
def test_a_host_further_away_is_found(ratio, most):
    """The further, the sooner: in the median within so many requests."""
    rng = np.random.default_rng(3)
    found = [first_reached(log_over(*draw(rng, ratio, 0.3)), ALPHA) or REQUESTS + 1 for _ in range(200)]
    assert np.median(found) <= most


def test_an_honest_host_is_cleared_and_a_far_one_never():
    """Within twenty requests in the median."""
    rng = np.random.default_rng(4)
    found = [first_reached(log_under(*draw(rng, 1.0, 0.3)), ALPHA) or REQUESTS + 1 for _ in range(200)]
    assert np.median(found) <= 20
    assert not any(first_reached(log_under(*draw(rng, 8.0, 0.3)), ALPHA) for _ in range(200))


def test_one_request_alone_accuses_nobody():
    """However far it lies: its factor is bounded, and two digits of rounding are no distance at all."""
    band = np.full(20, 1e-3)
    distance = band.copy()
    distance[7] = 50.0
    assert first_reached(log_over(distance, band), ALPHA) == 0
    assert log_over(np.array([1e9]), np.array([1e-3]))[0] <= np.log(CAP)
    assert first_reached(log_over(np.full(50, 1.2e-5), np.zeros(50)), ALPHA) == 0
