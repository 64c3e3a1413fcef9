"""The e-process: unit mean under the null by enumeration, error rates by fresh draws, the same bits however it is cut."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.stats import binom

from harness.errors import NumericsError
from harness.evidence.sequential.bank import TOLERANCE, Alternative, Bank
from harness.evidence.sequential.causes import explanations
from harness.evidence.sequential.eprocess import EProcess, token_path
from harness.evidence.sequential.ratios import TokenRatios, member_sums
from tests.support.worlds import make_world

WORLD = make_world()
STRONG = (Alternative("a", "eight"), Alternative("b", "four", (1.0, 0.5, 0.2, 0.05)))
ALPHA = 0.05


def runs(served, count, requests=30, length=16, members=("a", "b"), honest=("p", "h"), bank=None, seed=0):
    """Processes and paths of fresh draws from one server."""
    rng = np.random.default_rng(seed)
    bank = bank or Bank(STRONG)
    for _ in range(count):
        contexts, tokens = WORLD.draw(rng, served, requests, length)
        process = EProcess(bank)
        ratios = WORLD.ratios(contexts, tokens, requests, members, honest)
        yield process, process.fold(ratios), ratios


def test_every_member_has_unit_mean_under_the_reference():
    """Summed over all replies of two tokens: plain members exactly 1, members at the edge of the tolerance at most 1."""
    bank = Bank(STRONG)
    p = WORLD.distribution("p")[:2]
    means = np.zeros((2, len(bank.column)))
    for first, second in itertools.product(range(p.shape[1]), repeat=2):
        ratios = WORLD.ratios(np.array([0, 1]), np.array([first, second]), 1, ("a", "b"))
        plain, tolerant = member_sums(ratios, bank)
        weight = p[0, first] * p[1, second]
        means += weight * np.exp(np.concatenate([plain, tolerant]))
    assert means[0] == pytest.approx(1.0, abs=1e-9)
    assert (means[1] <= 1.0 + 1e-12).all()


def test_the_tolerance_holds_every_server_up_to_its_edge():
    """Rule 2: mixtures of the reference with at most a share s of a member have a mean of at most 1; beyond it they exceed 1."""
    bank = Bank((Alternative("b", "four"),))
    p, q = WORLD.distribution("p")[0], WORLD.distribution("b")[0]
    ratios = WORLD.ratios(np.zeros(len(p), dtype=int), np.arange(len(p)), len(p), ("b",))
    _, tolerant = member_sums(ratios, bank)
    means = [float(((1 - s) * p + s * q) @ np.exp(tolerant[:, 0])) for s in (0.0, 0.1, TOLERANCE, 0.5)]
    assert all(mean <= 1.0 + 1e-6 for mean in means[:3])
    assert means[3] > 1.0
    narrow = Bank((Alternative("b", "four", tolerance=0.1),))
    _, tolerant = member_sums(ratios, narrow)
    means = [float(((1 - s) * p + s * q) @ np.exp(tolerant[:, 0])) for s in (0.0, 0.1, TOLERANCE)]
    assert means[1] <= 1.0 + 1e-6 < means[2]


@pytest.mark.parametrize("server", ["p", "h", "mixed"])
def test_an_honest_host_is_accused_no_more_often_than_alpha(server):
    """Fixed or mixed honest configurations: crossings within the exact binomial bound (rule 3)."""
    count = 400
    p, h = WORLD.distribution("p"), WORLD.distribution("h")
    rng = np.random.default_rng(7)
    served = {"p": p, "h": h, "mixed": np.stack([p, h])[rng.integers(0, 2, 30)]}[server]
    crossed = sum(process.first_crossing(path, ALPHA) is not None for process, path, _ in runs(served, count, seed=3))
    assert crossed <= binom.ppf(0.999, count, ALPHA)


def test_without_the_honest_neighbour_in_the_null_the_plain_process_grows_on_it():
    """What rule 1 is for: an alternative close to an honest host, weighed against the reference alone."""
    near = Bank((Alternative("h", "eight"),))
    path = None
    for _, path, _ in runs(WORLD.distribution("h"), 1, requests=4000, members=("h",), honest=("p",), bank=near):
        assert path.log_numerator[-1] > math.log(1 / ALPHA)
    for process, path, _ in runs(
        WORLD.distribution("h"), 1, requests=4000, members=("h",), honest=("p", "h"), bank=near
    ):
        assert process.first_crossing(path, ALPHA) is None


@pytest.mark.parametrize(("server", "most"), [("a", 130), ("b", 5)])
def test_a_listed_build_is_found(server, most):
    """The near one and the far one, within what their divergence allows."""
    found = [p.first_crossing(path, ALPHA) for p, path, _ in runs(WORLD.distribution(server), 20, requests=400)]
    assert all(found)
    assert np.median(found) <= most


def test_an_unlisted_relative_is_found_by_a_weak_member_only():
    """Rule 5: at full strength the listed relative does not grow on it, at part strength it does."""
    full = Bank((Alternative("b", "four"),))
    weak = Bank((Alternative("b", "four", (1.0, 0.5, 0.2, 0.05)),))
    served = WORLD.distribution("c")
    without = [
        p.first_crossing(path, ALPHA) for p, path, _ in runs(served, 10, members=("b",), requests=120, bank=full)
    ]
    found = [p.first_crossing(path, ALPHA) for p, path, _ in runs(served, 10, members=("b",), requests=120, bank=weak)]
    assert not any(without)
    assert all(found)


def test_a_share_of_the_traffic_is_found():
    """A quarter of the requests on the far build."""
    rng = np.random.default_rng(5)
    served = np.stack([WORLD.distribution("p"), WORLD.distribution("b")])[(rng.random(150) < 0.25).astype(int)]
    found = [p.first_crossing(path, ALPHA) for p, path, _ in runs(served, 10, requests=150)]
    assert all(found)


def test_folding_in_pieces_gives_the_same_bits():
    """However the stream is cut, state and evidence are bit-identical."""
    ((whole, path, ratios),) = runs(WORLD.distribution("b"), 1, requests=20)
    pieces = EProcess(Bank(STRONG))
    parts = []
    for start, end in ((0, 1), (1, 7), (7, 20)):
        inside = (ratios.request >= start) & (ratios.request < end)
        part = TokenRatios(end - start, ratios.request[inside] - start, ratios.members[inside], ratios.honest[inside])
        parts.append(pieces.fold(part).log_numerator)
    assert np.array_equal(np.concatenate(parts), path.log_numerator)
    assert np.array_equal(pieces.numerators, whole.numerators)
    assert pieces.log_e() == whole.log_e()


def test_a_state_that_was_put_away_goes_on_with_the_same_bits():
    """Dumped in the middle, read again, folded to the end; a state of another bank is refused."""
    ((whole, path, ratios),) = runs(WORLD.distribution("b"), 1, requests=20)
    process, late = EProcess(Bank(STRONG)), None
    for start, end in ((0, 9), (9, 20)):
        inside = (ratios.request >= start) & (ratios.request < end)
        part = TokenRatios(end - start, ratios.request[inside] - start, ratios.members[inside], ratios.honest[inside])
        late = process.fold(part)
        process = EProcess.resumed(Bank(STRONG), process.dump())
    assert np.array_equal(late.log_numerator, path.log_numerator[9:])
    assert process.log_e() == whole.log_e()
    with pytest.raises(NumericsError, match="another bank"):
        EProcess.resumed(Bank(STRONG[:1]), process.dump())


def test_watching_every_token_ends_where_watching_every_request_does():
    """At the ends of requests both paths are the same evidence."""
    ((_, path, ratios),) = runs(WORLD.distribution("a"), 1)
    tokens = token_path(ratios, Bank(STRONG))
    ends = np.flatnonzero(np.diff(ratios.request, append=ratios.requests))
    assert tokens.log_numerator[ends] == pytest.approx(path.log_numerator, abs=1e-9)
    assert tokens.log_tolerant[ends] == pytest.approx(path.log_tolerant, abs=1e-9)


def test_a_lost_reply_counts_against_every_member():
    """Rule 10: as if it had been the least likely reply of all; all traffic pays ln 50, a small share almost nothing."""
    ((process, _, _),) = runs(WORLD.distribution("b"), 1, requests=10)
    before = process.numerators.copy()
    lost = TokenRatios(1, np.zeros(0, int), np.zeros((0, 2)), np.zeros((0, 1, 2)), lost=(0,))
    process.fold(lost)
    assert process.numerators - before == pytest.approx(
        np.broadcast_to(np.log1p(-np.array(process.bank.shares)), before.shape)
    )
    assert process.lost == 1
    assert process.too_many_lost


def test_an_empty_reply_moves_nothing():
    """A host that stops at once says nothing about weights: that is the length process's business."""
    process = EProcess(Bank(STRONG))
    path = process.fold(TokenRatios(3, np.zeros(0, int), np.zeros((0, 2)), np.zeros((0, 1, 2))))
    assert path.log_numerator == pytest.approx(np.zeros(3), abs=1e-12)
    assert process.log_e() == pytest.approx(0.0, abs=1e-12)


def test_one_impossible_token_costs_a_member_no_more_than_the_floor():
    """Rule 13: a cut-off that rules a token out loses 13.8 nats, not everything."""
    ratios = TokenRatios(1, np.zeros(1, int), np.array([[-np.inf]]), np.zeros((1, 1, 1)))
    plain, _ = member_sums(ratios, Bank((Alternative("cut", "sampling"),)))
    assert plain[0, 0] == pytest.approx(math.log(1e-6), rel=1e-6)


@pytest.mark.parametrize(
    ("members", "honest", "request_"),
    [
        (np.full((1, 1), np.nan), np.zeros((1, 1, 1)), [0]),
        (np.zeros((1, 1)), np.full((1, 1, 1), np.inf), [0]),
        (np.zeros((2, 1)), np.zeros((1, 1, 1)), [0]),
        (np.zeros((2, 1)), np.zeros((2, 1, 1)), [1, 0]),
        (np.zeros((1, 1)), np.zeros((1, 1, 1)), [5]),
    ],
)
def test_broken_ratios_are_refused(members, honest, request_):
    """NaN, a token that the reference rules out, arrays of different length, another order (rule 9), no such request."""
    with pytest.raises(NumericsError):
        TokenRatios(2, np.array(request_), members, honest)


def test_another_bank_than_the_ratios_have_is_refused():
    """Columns and alternatives must be the same."""
    with pytest.raises(NumericsError):
        EProcess(Bank(STRONG)).fold(TokenRatios(1, np.zeros(1, int), np.zeros((1, 1)), np.zeros((1, 1, 1))))
    with pytest.raises(ValueError, match="alternative"):
        Bank(())


def test_weights_sum_to_one_and_families_share_equally():
    """The bank pays for its own multiplicity: adding a third member to a family does not touch the other family."""
    bank = Bank((*STRONG, Alternative("c", "four")))
    weights = np.exp(bank.log_weight)
    assert weights.sum() == pytest.approx(1.0)
    assert weights[bank.column == 0].sum() == pytest.approx(0.5)
    assert weights[:, 0].sum() == pytest.approx(0.5)
    assert weights[bank.column == 1][0].sum() == pytest.approx(0.75 * 0.25)  # b at full strength


def test_the_favoured_family_has_half_of_the_weight_and_no_advantage_in_being_named():
    """Found sooner, but before the first reply every family is as probable."""
    bank = Bank((*STRONG, Alternative("c", "third")), favoured="four")
    weights = np.exp(bank.log_weight)
    assert weights.sum() == pytest.approx(1.0)
    assert weights[bank.column == 1].sum() == pytest.approx(0.5)
    assert bank.family_weight("third") == pytest.approx(0.25)
    assert [one.probability for one in explanations(EProcess(bank))] == pytest.approx([1 / 3] * 3)
    assert np.exp(Bank(STRONG[:1], favoured="four").log_weight).sum() == pytest.approx(1.0)
