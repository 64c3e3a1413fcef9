"""Texts without ids: what cutting them anew does to a ratio, and that the charge covers it."""

from __future__ import annotations

import numpy as np
import pytest

from harness.errors import NumericsError
from harness.evidence.sequential.bank import Alternative, Bank
from harness.evidence.sequential.eprocess import EProcess, token_path
from harness.evidence.sequential.ratios import Charges, TokenRatios, member_sums
from harness.evidence.sequential.recut import MOST_PER_REPLY, recut_charge

# Three replies of which the last two read alike: the tokenizer makes the second of both. A far member, neater than the
# reference: it hardly ever writes the third.
P = np.array([0.50, 0.30, 0.20])
Q = np.array([0.05, 0.93, 0.02])
CUT = np.array([0, 1, 1])
TRUTH = float(np.log(P @ (Q / P)[CUT]))


def charge(draws, seed=0):
    """What ``draws`` replies of the member say of its charge."""
    drawn = np.random.default_rng(seed).choice(3, draws, p=Q)
    moved = drawn[CUT[drawn] != drawn]
    shift = np.log(Q / P)[CUT[moved]] - np.log(Q / P)[moved]
    return float(recut_charge(shift, np.zeros(len(shift)), draws))


def test_a_neater_member_grows_on_an_honest_host_whose_ids_are_unknown():
    """Rule 12: the mean of its ratio is above 1, so that evidence without a charge would accuse in the end."""
    assert TRUTH > 0.4


def test_the_charge_covers_the_truth_in_99_of_100_calibrations_and_is_not_wasteful():
    """Over 400 calibrations of 400 replies each."""
    found = np.array([charge(400, seed) for seed in range(400)])
    assert (found < TRUTH).mean() <= 0.03
    assert np.median(found) < TRUTH + 0.35


def test_replies_of_the_reference_would_say_less():
    """The same number of draws from p: a spread of the mean that is several times as large for a far member."""
    rng = np.random.default_rng(3)
    far = np.array([0.001, 0.800, 0.199])
    p = np.array([0.989, 0.008, 0.003])
    theirs = [np.mean((far / p)[CUT[rng.choice(3, 400, p=p)]]) for _ in range(200)]
    ours = []
    for _ in range(200):
        drawn = rng.choice(3, 400, p=far)
        ours.append(np.mean((p / far)[drawn] * (far / p)[CUT[drawn]]))
    assert np.std(theirs) > 5 * np.std(ours)
    assert np.mean(ours) == pytest.approx(p @ (far / p)[CUT], rel=0.05)


def test_a_change_that_no_draw_showed_is_not_free():
    """No reply was cut otherwise: the charge falls with the draws and is never 0."""
    few, many = (float(recut_charge(np.zeros(0), np.zeros(0), draws)) for draws in (50, 2000))
    assert 0 < many < few < 0.2
    with pytest.raises(ValueError, match="two draws"):
        recut_charge(np.zeros(0), np.zeros(0), 1)


def test_a_setting_that_rules_replies_out_has_no_charge():
    """Its -745 nats a token must not overflow into a charge for everybody."""
    found = recut_charge(np.array([[0.1, 1490.0]]), np.zeros(1), 100)
    assert np.isfinite(found).all()
    assert found[1] < 0.2


def ratios(requests=4, charges=None):
    """Two tokens a reply, the member slightly ahead; the last request without a reply."""
    request = np.repeat(np.arange(requests - 1), 2)
    count = len(request)
    return TokenRatios(requests, request, np.full((count, 1), 0.2), np.zeros((count, 1, 2)), charges=charges)


def test_every_reply_pays_empty_ones_too():
    """The member pays its charge, the honest configuration gets its own, once per reply; the charge was measured so."""
    bank = Bank((Alternative("q", "four"),))
    free, paid = EProcess(bank), EProcess(bank)
    free.fold(ratios())
    paid.fold(ratios(charges=Charges(np.array([0.1]), np.array([[0.0, 0.05]]))))
    assert (paid.numerators < free.numerators).all()
    assert (paid.tolerant < free.tolerant).all()
    plain, _ = member_sums(ratios(charges=Charges(np.array([0.1]), np.zeros((1, 2)))), bank)
    assert plain[:, 0] == pytest.approx(np.array([0.3, 0.3, 0.3, -0.1]), abs=1e-5)
    given = np.array(paid.honest)[:, 0] - np.array(free.honest)[:, 0]
    assert given == pytest.approx(np.array([[0.0, 0.05]] * 4))


def test_a_single_reply_counts_no_more_than_the_cap():
    """What one reply says is bounded, because the mean of the unbounded ratio hangs on replies that nobody ever draws."""
    request = np.zeros(10, dtype=int)
    far = TokenRatios(
        1, request, np.full((10, 1), 3.0), np.zeros((10, 1, 2)), charges=Charges(np.array([0.5]), np.zeros((1, 2)))
    )
    plain, tolerant = member_sums(far, Bank((Alternative("q", "four"),)))
    assert plain[0, 0] == pytest.approx(MOST_PER_REPLY - 0.5)
    assert tolerant[0, 0] <= plain[0, 0]


def test_charges_must_be_numbers_and_belong_to_whole_replies():
    """A negative or missing one is refused; a reply in progress has none."""
    with pytest.raises(NumericsError):
        Charges(np.array([np.nan]), np.zeros((1, 1)))
    with pytest.raises(NumericsError):
        Charges(np.array([-0.1]), np.zeros((1, 1)))
    with pytest.raises(NumericsError, match="whole replies"):
        token_path(ratios(charges=Charges(np.zeros(1), np.zeros((1, 2)))), Bank((Alternative("q", "four"),)))
