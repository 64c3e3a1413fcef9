"""Exclusion, routing shares, explanations: what is ruled out is ruled out at its level, what is named is the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom

from harness.evidence.sequential.bank import Alternative, Bank
from harness.evidence.sequential.causes import exclusions, explanations, routing_shares
from harness.evidence.sequential.eprocess import EProcess
from harness.evidence.sequential.ratios import TokenRatios
from tests.support.worlds import make_world

WORLD = make_world()
BANK = Bank(
    (Alternative("a", "eight"), Alternative("b", "four", (1.0, 0.5, 0.2, 0.05)), Alternative("cold", "sampling"))
)
MEMBERS = ("a", "b", "cold")


COLD = 1 / 0.8


def process_of(served, requests=30, seed=0, length=16, lost=()):
    """A finished process on fresh replies, and the likelihoods of its builds at two temperatures."""
    contexts, tokens = WORLD.draw(np.random.default_rng(seed), served, requests, length)
    process = EProcess(BANK)
    ratios = WORLD.ratios(contexts, tokens, requests, MEMBERS, ("p", "h"), lost)
    tempered = WORLD.tempered(COLD)
    own = WORLD.logs[0][contexts, tokens]
    honest = np.stack([ratios.honest[:, 0], *[_logs(tempered, ("p", "h"), contexts, tokens) - own[:, None]]], axis=1)
    process.fold(TokenRatios(ratios.requests, ratios.request, ratios.members, honest, ratios.lost))
    cold = _logs(tempered, MEMBERS, contexts, tokens) - own[:, None]
    builds = np.stack([ratios.per_request(ratios.members), ratios.per_request(cold)], axis=1)
    return process, builds


def _logs(world, names, contexts, tokens):
    return np.stack([world.logs[world.names.index(name)][contexts, tokens] for name in names], axis=1)


def ruled_out(process, builds, alpha):
    return exclusions(process, builds, MEMBERS, alpha)


def shares_of(process, builds, alpha):
    return routing_shares(process, builds, MEMBERS, alpha)


def test_the_true_build_is_hardly_ever_ruled_out():
    """At most alpha of audits of a host that serves exactly this build (rule 4), and the reference rules the rest out."""
    count, alpha = 300, 0.05
    wrong = sum(ruled_out(*process_of(WORLD.distribution("a"), seed=s), alpha)[0].excluded for s in range(count))
    assert wrong <= binom.ppf(0.999, count, alpha)
    honest = {one.name: one for one in ruled_out(*process_of(WORLD.distribution("p"), requests=60), alpha)}
    assert honest["b"].excluded
    assert honest["b"].log_e > honest["a"].log_e


def test_the_share_of_a_routed_build_is_covered():
    """Rule 7: the 95 % interval holds the true share in at least 95 % of audits, whichever build it is."""
    count, alpha, share = 200, 0.05, 0.3
    missed = 0
    for seed in range(count):
        routed = np.random.default_rng(1000 + seed).random(40) < share
        served = np.stack([WORLD.distribution("p"), WORLD.distribution("b")])[routed.astype(int)]
        found = shares_of(*process_of(served, requests=40, seed=seed), alpha)[1]
        missed += not found.low <= share <= found.high
    assert missed <= binom.ppf(0.999, count, alpha)


def test_the_upper_end_falls_with_the_size_of_the_build():
    """Rule 6: an honest host may have hidden more of a near build than of a far one."""
    near, far, _ = shares_of(*process_of(WORLD.distribution("p"), requests=64), 0.05)
    assert (near.low, far.low) == (0.0, 0.0)
    assert far.high < 0.15 < near.high


def test_a_build_that_explains_nothing_has_no_share():
    """On a host that serves the far build no share of the near one fits."""
    near, far, _ = shares_of(*process_of(WORLD.distribution("b")), 0.05)
    assert math.isnan(near.low)
    assert far.high == 1.0
    assert far.low > 0.5


@pytest.mark.parametrize(("server", "family"), [("a", "eight"), ("b", "four"), ("cold", "sampling")])
def test_the_family_of_the_server_is_named(server, family):
    """With a lead over every other family's best member."""
    best = explanations(process_of(WORLD.distribution(server), requests=120)[0])[0]
    assert best.family == family
    assert best.best == server
    assert best.lead > 3.0
    assert best.share == BANK.shares[0]


def test_before_the_first_reply_every_family_is_as_likely():
    """And nothing is ruled out."""
    empty = EProcess(BANK)
    assert [one.probability for one in explanations(empty)] == pytest.approx([1 / 3] * 3)
    nothing = np.zeros((0, 2, 3))
    assert not any(one.excluded for one in ruled_out(empty, nothing, 0.05))
    assert all((one.low, one.high) == (0.0, 1.0) for one in shares_of(empty, nothing, 0.05))


def test_a_build_is_not_ruled_out_for_its_temperature():
    """A host that serves the far build colder than asked for: at temperature 1 alone that build would be ruled out."""
    p = WORLD.tempered(COLD).distribution("b")
    process, builds = process_of(p, requests=300)
    assert not ruled_out(process, builds, 0.05)[1].excluded
    assert shares_of(process, builds, 0.05)[1].high == 1.0
    alone = exclusions(process, builds[:, :1], MEMBERS, 0.05)[1]
    assert alone.log_e > ruled_out(process, builds, 0.05)[1].log_e + 3.0


def test_an_honest_host_in_another_number_format_may_serve_nothing_else():
    """The honest rest is any configuration that was computed: its noise is no sign of a share of a near build."""
    low = [shares_of(*process_of(WORLD.distribution("h"), requests=150, seed=s), 0.05)[0].low for s in range(40)]
    assert sum(one > 0 for one in low) <= binom.ppf(0.999, 40, 0.05)


def test_shares_hold_where_replies_are_beyond_all_floats():
    """Two replies of 800 nats from the only build: it may have served them all, and not none."""
    process = EProcess(Bank((Alternative("b", "four"),)))
    ratios = TokenRatios(2, np.repeat([0, 1], 16), np.full((32, 1), 50.0), np.zeros((32, 1, 1)))
    process.fold(ratios)
    (found,) = routing_shares(process, ratios.per_request(ratios.members)[:, None], ("b",), 0.05)
    assert (found.low > 0.05, found.high) == (True, 1.0)


def test_a_lost_reply_is_no_evidence_against_a_build():
    """Rule 10 turned around: the reference pays for it like every member, because the build might not have lost it."""
    full, builds = process_of(WORLD.distribution("p"), requests=20)
    lossy, _ = process_of(WORLD.distribution("p"), requests=20)
    lossy.fold(TokenRatios(1, np.zeros(0, int), np.zeros((0, 3)), np.zeros((0, 2, 2)), lost=(0,)))
    kept = np.concatenate([builds, np.zeros((1, 2, 3))])
    before, after = (ruled_out(p, b, 0.05)[1].log_e for p, b in ((full, builds), (lossy, kept)))
    assert after < before - 1.0
