"""The band of honest arithmetic: false alarms, false clearances, and how soon either answer comes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from harness.evidence.sequential.band import FAR, LEAST, MOST, RARE, first_reached, log_over, log_under

ALPHA, RUNS, REQUESTS = 0.05, 1000, 64


def draw(rng, ratio, spread):
    """Honest distances, and those of a host that lies ``ratio`` times as far away; both vary with the text and on their own."""
    text = np.exp(0.7 * rng.normal(size=REQUESTS))
    own = np.exp(spread * rng.normal(size=(2, REQUESTS)))
    return 1e-3 * ratio * text * own[0], 1e-3 * text * own[1]


@pytest.mark.parametrize("spread", [0.1, 0.5, 1.0, 2.0])
def test_a_host_at_the_honest_distance_is_not_accused(spread):
    """Also where one reply's distance says nothing of another's, with the heaviest tails; exact binomial bound."""
    rng = np.random.default_rng(1)
    wrong = sum(bool(first_reached(log_over(*draw(rng, 1.0, spread)), ALPHA)) for _ in range(RUNS))
    assert wrong <= binom.ppf(0.999, RUNS, ALPHA)


@pytest.mark.parametrize("flips", [1, 3, 10])
def test_tokens_on_which_everything_turns_accuse_nobody(flips):
    """Router flips of .3 nat, so many in a thousand tokens of 64 per reply, on both sides alike and independently."""
    rng = np.random.default_rng(5)
    wrong = 0
    for _ in range(RUNS):
        sides = [1e-3 + 0.3 * rng.binomial(64, flips / 1000, REQUESTS) / 64 for _ in range(2)]
        wrong += bool(first_reached(log_over(*sides), ALPHA))
    assert wrong <= binom.ppf(0.999, RUNS, ALPHA)


def test_the_bounds_themselves_are_tested_at_their_level():
    """At the edge of each null, with X as far from its mean as it can be without being far: alpha holds on both sides."""
    rng = np.random.default_rng(2)
    over = under = 0
    band = np.full(REQUESTS, 1e-3)
    for _ in range(RUNS):
        large = (FAR - 1) / FAR
        part = np.where(rng.random(REQUESTS) < LEAST / (LEAST + 1) / large, large, 1e-9)
        part = np.where(rng.random(REQUESTS) < RARE / 2, 1 - 1e-9, part)
        over += bool(first_reached(log_over(band * part / (1 - part), band), ALPHA))
        part = np.where(rng.random(REQUESTS) < MOST / (MOST + 1), 1 - 1e-9, 1e-9)
        under += bool(first_reached(log_under(band * part / (1 - part), band), ALPHA))
    assert max(over, under) <= binom.ppf(0.999, RUNS, ALPHA)


@pytest.mark.parametrize(("ratio", "most"), [(300.0, 8), (10.0, 24), (4.0, 60)])
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
    assert not any(first_reached(log_under(*draw(rng, 12.0, 0.3)), ALPHA) for _ in range(200))


def test_a_host_that_is_far_now_and_then_is_found():
    """One request in four, within the audit."""
    rng = np.random.default_rng(6)
    found = []
    for _ in range(200):
        distance, band = draw(rng, 1.0, 0.3)
        found.append(
            first_reached(log_over(distance + 0.4 * (rng.random(REQUESTS) < 0.25), band), ALPHA) or REQUESTS + 1
        )
    assert np.median(found) <= 26


def test_one_request_accuses_nobody():
    """However far it lies; and two digits of rounding are no distance at all."""
    band = np.full(20, 1e-3)
    distance = band.copy()
    distance[7] = 50.0
    assert first_reached(log_over(distance, band), 0.01) == 0
    assert first_reached(log_over(np.full(50, 1.2e-5), np.zeros(50)), ALPHA) == 0
