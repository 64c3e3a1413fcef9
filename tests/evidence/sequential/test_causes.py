"""Exclusion, routing shares, explanations: what is ruled out is ruled out at its level, what is named is the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom

from harness.evidence.sequential.bank import Alternative, Bank
from harness.evidence.sequential.causes import exclusions, explanations, routing_shares
from harness.evidence.sequential.eprocess import EProcess
from tests.support.worlds import make_world

WORLD = make_world()
BANK = Bank(
    (Alternative("a", "eight"), Alternative("b", "four", (1.0, 0.5, 0.2, 0.05)), Alternative("cold", "sampling"))
)
MEMBERS = ("a", "b", "cold")


def process_of(served, requests=30, seed=0, length=16):
    """A finished process on fresh replies."""
    contexts, tokens = WORLD.draw(np.random.default_rng(seed), served, requests, length)
    process = EProcess(BANK)
    process.fold(WORLD.ratios(contexts, tokens, requests, MEMBERS, ("p", "h")))
    return process


def test_the_true_build_is_hardly_ever_ruled_out():
    """At most alpha of audits of a host that serves exactly this build (rule 4), and the reference rules the rest out."""
    count, alpha = 300, 0.05
    wrong = sum(exclusions(process_of(WORLD.distribution("a"), seed=s), alpha)[0].excluded for s in range(count))
    assert wrong <= binom.ppf(0.999, count, alpha)
    honest = {one.name: one for one in exclusions(process_of(WORLD.distribution("p"), requests=60), alpha)}
    assert honest["b"].excluded
    assert honest["b"].log_e > honest["a"].log_e


def test_the_share_of_a_routed_build_is_covered():
    """Rule 7: the 95 % interval holds the true share in at least 95 % of audits, whichever build it is."""
    count, alpha, share = 200, 0.05, 0.3
    missed = 0
    for seed in range(count):
        routed = np.random.default_rng(1000 + seed).random(40) < share
        served = np.stack([WORLD.distribution("p"), WORLD.distribution("b")])[routed.astype(int)]
        found = routing_shares(process_of(served, requests=40, seed=seed), alpha)[1]
        missed += not found.low <= share <= found.high
    assert missed <= binom.ppf(0.999, count, alpha)


def test_the_upper_end_falls_with_the_size_of_the_build():
    """Rule 6: an honest host may have hidden more of a near build than of a far one."""
    near, far, _ = routing_shares(process_of(WORLD.distribution("p"), requests=64), 0.05)
    assert (near.low, far.low) == (0.0, 0.0)
    assert far.high < 0.15 < near.high


def test_a_build_that_explains_nothing_has_no_share():
    """On a host that serves the far build no share of the near one fits."""
    near, far, _ = routing_shares(process_of(WORLD.distribution("b")), 0.05)
    assert math.isnan(near.low)
    assert far.high == 1.0
    assert far.low > 0.5


@pytest.mark.parametrize(("server", "family"), [("a", "eight"), ("b", "four"), ("cold", "sampling")])
def test_the_family_of_the_server_is_named(server, family):
    """With a lead over every other family's best member."""
    best = explanations(process_of(WORLD.distribution(server), requests=120))[0]
    assert best.family == family
    assert best.best == server
    assert best.lead > 3.0
    assert best.share == BANK.shares[0]


def test_before_the_first_reply_every_family_is_as_likely():
    """And nothing is ruled out."""
    empty = EProcess(BANK)
    assert [one.probability for one in explanations(empty)] == pytest.approx([1 / 3] * 3)
    assert not any(one.excluded for one in exclusions(empty, 0.05))
    assert all((one.low, one.high) == (0.0, 1.0) for one in routing_shares(empty, 0.05))
