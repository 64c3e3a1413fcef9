"""The planner against simulated audits, and its inverse."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.evidence.planning import barrier, requests_needed, requests_over_band, smallest_divergence
from harness.evidence.sequential.bank import Alternative, Bank

BANK = Bank((Alternative("a", "eight"), Alternative("b", "four")))


def simulated(divergence, length, bar, share, power, runs=1500, horizon=4000):
    """Requests until the evidence of one member reaches a barrier, for log ratios that are normal."""
    rng = np.random.default_rng(2)
    gain = divergence * length
    found = []
    for _ in range(runs):
        side = np.where(rng.random(horizon) < share, 1.0, -1.0)
        ratio = side * gain + math.sqrt(2 * gain) * rng.normal(size=horizon)
        near = 0.98 if share == 1 else share  # the bank's own shares
        steps = ratio if share == 1 else np.logaddexp(math.log1p(-near), math.log(near) + ratio)
        crossed = np.flatnonzero(steps.cumsum() >= bar)
        found.append(crossed[0] + 1 if len(crossed) else math.inf)
    return float(np.quantile(found, power))


@pytest.mark.parametrize("share", [1.0, 0.25, 0.1])
@pytest.mark.parametrize("power", [0.5, 0.95])
def test_the_plan_is_within_a_quarter_of_what_audits_need(share, power):
    """Median and 95th percentile, on all traffic and on parts of it."""
    bar = 6.0
    need = requests_needed(0.02, 64, bar, power, share)
    assert need.requests == pytest.approx(simulated(0.02, 64, bar, share, power), rel=0.25)
    assert need.tokens == need.requests * 64


def test_the_median_is_that_of_the_inverse_gaussian():
    """About 0.83 and 2.28 of ln(1/alpha)/KL at alpha 0.01, as the evidence rules state."""
    bar = math.log(100)
    limit = bar / 0.001
    assert requests_needed(0.001, 1, bar, 0.5).tokens / limit == pytest.approx(0.83, abs=0.02)
    assert requests_needed(0.001, 1, bar, 0.95).tokens / limit == pytest.approx(2.28, abs=0.03)


def test_the_smallest_divergence_is_the_inverse():
    """What a budget finds is what needs that budget."""
    bar = barrier(BANK, 0, 1.0, 0.01)
    found = smallest_divergence(5000, 64, bar, 0.95, tolerance=0.25)
    assert requests_needed(found, 64, bar, 0.95, tolerance=0.25).tokens == pytest.approx(5000, rel=1e-3)
    assert smallest_divergence(0, 64, bar, 0.95) == math.inf


def test_the_bank_and_its_shares_cost_what_their_weights_say():
    """Half for the family, half for all traffic, and one nat of the null."""
    assert barrier(BANK, 0, 1.0, 0.01) == pytest.approx(math.log(100) + math.log(4) + 1.0)
    assert barrier(BANK, 1, 0.25, 0.01, null=0.0) == pytest.approx(math.log(100) + math.log(2) + math.log(8))


def test_what_does_not_grow_is_never_found():
    """No divergence, no end."""
    assert requests_needed(0.0, 64, 5.0, 0.5).requests == math.inf


def test_a_charge_comes_off_every_reply_and_can_eat_all_of_it():
    """Text without ids: the plan grows as the gain shrinks, and a reply never counts more than its cap."""
    bar = 6.0
    free, charged = (requests_needed(0.02, 64, bar, 0.5, charge=charge).requests for charge in (0.0, 0.3))
    assert charged == pytest.approx(free * 1.28 / (1.28 - 0.3), rel=0.05)
    assert requests_needed(0.02, 64, bar, 0.5, charge=1.3).requests == math.inf
    far, capped = (requests_needed(1.0, 64, 40.0, 0.5, charge=charge).requests for charge in (0.0, 1e-9))
    assert far == pytest.approx(2) or far < 40 / 6 < capped


def test_told_log_probabilities_are_planned_by_drawing_replies_anew():
    """The further a build, the fewer requests; a part of the traffic takes longer; honest arithmetic is never accused."""
    band = 1e-3 * np.exp(0.3 * np.random.default_rng(1).normal(size=16))
    far, near = (requests_over_band(times * band, band, 0.005, 0.95) for times in (100, 4))
    assert 6 <= far <= 9 < near < 300
    assert requests_over_band(100 * band, band, 0.005, 0.95, share=0.2) > far
    assert math.isinf(requests_over_band(band, band, 0.005, 0.95))
