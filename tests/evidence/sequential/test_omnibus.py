"""Tests for what nobody listed: fair bets under the reference, and growth where ranks or places are off."""

from __future__ import annotations

import numpy as np
import pytest

from harness.evidence.sequential.omnibus import conditional_z, place_bets, rank_tilts
from tests.support.worlds import make_world

WORLD = make_world()
TILTS = (-0.2, 0.2)


def drawn(server, tokens, seed):
    """Fresh tokens: log-probabilities, ranks, places, and moments under the reference."""
    contexts, ids = WORLD.draw(np.random.default_rng(seed), WORLD.distribution(server), tokens, 1)
    p = np.exp(WORLD.logs[0])[contexts]
    own = p[np.arange(tokens), ids]
    ranks = 1 + (p[:, None, :] > p[:, :, None]).sum(-1)
    log_rank = np.log(ranks)
    above = (p * (p > own[:, None])).sum(1)
    return p, ids, own, log_rank, above


def test_tilts_have_unit_mean_under_the_reference():
    """Summed over the vocabulary of every context."""
    p = np.exp(WORLD.logs[0])
    log_rank = np.log(1 + (p[:, None, :] > p[:, :, None]).sum(-1))
    means = np.log(np.stack([(p * np.exp(tilt * log_rank)).sum(1) for tilt in TILTS], axis=1))
    for place in range(len(p)):
        ratios = rank_tilts(log_rank[place], np.repeat(means[place][None], p.shape[1], 0), TILTS)
        assert (p[place][:, None] * np.exp(ratios)).sum(0) == pytest.approx([1.0, 1.0])


def test_bets_on_places_lose_a_little_on_the_reference_and_win_on_a_damaged_host():
    """Over 3,000 tokens."""
    honest = [place_bets(d[4], d[2], 1).sum() for d in (drawn("p", 3000, s) for s in range(8))]
    damaged = [place_bets(d[4], d[2], 1).sum() for d in (drawn("c", 3000, s) for s in range(8))]
    assert max(honest) < 5.0
    assert np.mean(honest) < 0
    assert min(damaged) > 20.0


def test_bets_are_fair_on_average():
    """The mean capital under the reference is 1, up to the noise of 4,000 short games."""
    capital = [np.exp(place_bets(d[4], d[2], s).sum()) for s in range(800) for d in [drawn("p", 10, s)]]
    assert np.mean(capital) == pytest.approx(1.0, abs=0.05)


def test_bets_are_repeatable():
    """The seed is the only source of chance."""
    _, _, own, _, above = drawn("p", 50, 1)
    assert np.array_equal(place_bets(above, own, 7), place_bets(above, own, 7))
    assert not np.array_equal(place_bets(above, own, 7), place_bets(above, own, 8))


@pytest.mark.parametrize("which", ["surprisal", "log_rank"])
def test_z_is_standard_normal_on_the_reference_and_large_on_a_damaged_host(which):
    """Centred exactly: mean 0 and spread 1 over 200 audits."""

    def z(server, seed, tokens=400):
        p, ids, _own, log_rank, _ = drawn(server, tokens, seed)
        table = -np.log(p) if which == "surprisal" else log_rank
        values = table[np.arange(len(ids)), ids]
        mean = (p * table).sum(1)
        return conditional_z(values, mean, (p * (table - mean[:, None]) ** 2).sum(1))[0]

    honest = np.array([z("p", s) for s in range(200)])
    assert abs(honest.mean()) < 0.25
    assert honest.std() == pytest.approx(1.0, abs=0.15)
    assert min(z("c", s, 1000) for s in range(5)) > 4.0


def test_no_tokens_have_no_z():
    """p = 1, not a division by zero."""
    assert conditional_z(np.zeros(0), np.zeros(0), np.zeros(0)) == (0.0, 1.0)
