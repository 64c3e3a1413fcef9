"""Rows of token evidence against fp64 by hand: conditional on audible tokens, over the whole vocabulary."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from harness.errors import NumericsError
from harness.targets.checkpoint import evidence_kernel
from harness.targets.checkpoint.evidence_kernel import fill_against, fill_cuts, fill_evidence, fill_powers, fill_ranks
from harness.targets.token_evidence import CLIPS, CUTS, POWERS, TILTS, empty_evidence

TOKENS, IDS = 6, 700


@pytest.fixture(scope="module")
def tile():
    """Logits of a reference and an alternative, labels (the last one silent), silent ids; and all rows filled."""
    torch.manual_seed(4)
    z = torch.randn(TOKENS, IDS) * 3
    z[:, 7] = z[:, 5]  # two ids of equal probability
    w = z + 0.3 * torch.randn(TOKENS, IDS)
    labels = torch.tensor([5, 100, 650, 3, 200, 0])
    silent = torch.zeros(IDS, dtype=torch.bool)
    silent[[0, 1, 2]] = True
    ours, theirs = empty_evidence(TOKENS), empty_evidence(TOKENS)
    log_p = fill_evidence(z.clone(), labels, silent, ours)
    fill_powers(log_p, ours)
    fill_ranks(log_p, z.clone(), labels, ours)
    fill_cuts(z.clone(), log_p, labels, ours)
    log_q = fill_evidence(w.clone(), labels, silent, theirs)
    fill_against(log_q, log_p, theirs)
    exact = []
    for logits in (z, w):
        whole = logits.double().numpy()
        whole = whole - np.logaddexp.reduce(whole, axis=1, keepdims=True)
        heard = np.where(silent.numpy(), -np.inf, whole)
        exact.append((whole, heard - np.logaddexp.reduce(heard, axis=1, keepdims=True)))
    return labels.numpy(), ours, theirs, exact


def test_log_probabilities_are_conditional_on_an_audible_token(tile):
    """And the silent factor is kept beside them; a silent label has none."""
    labels, ours, theirs, exact = tile
    for rows, (whole, heard) in zip((ours, theirs), exact, strict=True):
        assert rows["logp"][:5] == pytest.approx(heard[np.arange(5), labels[:5]], abs=2e-6)
        assert math.isnan(rows["logp"][5])
        assert rows["silent"].tolist() == [0, 0, 0, 0, 0, 1]
        assert np.exp(rows["log_silent"]) == pytest.approx(np.exp(whole[:, :3]).sum(1), rel=1e-5)
        assert np.exp(rows["log_silent"]) + np.exp(rows["log_audible"]) == pytest.approx(np.ones(TOKENS), abs=1e-6)


def test_normalisers_are_those_of_every_power(tile):
    """Log of the sum of p^power over audible ids; 0 at the claimed sampler."""
    _, ours, _, ((_, heard), _) = tile
    for place, power in enumerate(POWERS):
        wanted = np.logaddexp.reduce(power * heard[:, 3:], axis=1)
        assert ours["normalisers"][:, place] == pytest.approx(wanted, abs=1e-5)
    assert (ours["normalisers"][:, POWERS.index(1.0)] == 0).all()


def test_ranks_and_moments(tile):
    """Ties share the better rank; mean and variance of surprisal and of log rank under the reference."""
    labels, ours, _, ((_, heard), _) = tile
    p = np.exp(heard)
    for t in range(5):
        own = heard[t, labels[t]]
        assert ours["rank"][t] == 1 + (heard[t] > own).sum()
        assert ours["above"][t] == pytest.approx(p[t][heard[t] > own].sum(), abs=1e-6)
        same = p[t][np.isclose(heard[t], own, rtol=0, atol=1e-12)].sum()
        assert ours["tied"][t] == pytest.approx(same, rel=1e-5)
    assert math.isnan(ours["rank"][5])
    ranks = np.array([[1 + (row > value).sum() for value in row] for row in heard])
    for name, values in (("surprisal", -np.where(p > 0, heard, 0)), ("log_rank", np.log(ranks))):
        mean = (p * values).sum(1)
        assert ours[name][:, 0] == pytest.approx(mean, rel=1e-5)
        assert ours["tilted"] == pytest.approx(np.log([(p * ranks**tilt).sum(1) for tilt in TILTS]).T, abs=1e-5)
        assert ours[name][:, 1] == pytest.approx((p * (values - mean[:, None]) ** 2).sum(1), rel=1e-4)


def test_cuts_that_reach_far_down_the_ranking_are_the_same(tile, monkeypatch):
    """Whichever of the likeliest ids are looked at first."""
    labels, ours, _, ((whole, heard), _) = tile
    monkeypatch.setattr(evidence_kernel, "_LIKELIEST", (10, 30))
    found = empty_evidence(TOKENS)
    barred = torch.from_numpy(np.maximum(heard, -1e30)).float()
    fill_cuts(torch.from_numpy(whole).float(), barred, torch.from_numpy(labels), found)
    assert found["kept"] == pytest.approx(ours["kept"], abs=1e-5)
    assert np.isinf(found["kept"]).any()
    assert np.isfinite(found["kept"]).any()


def test_cuts_keep_what_a_sampler_would_keep(tile):
    """The mass of audible ids inside; +inf where the label is outside."""
    labels, ours, _, ((whole, heard), _) = tile
    for t in range(TOKENS):
        order = np.argsort(-whole[t], kind="stable")
        mass = np.exp(whole[t][order])
        for place, (kind, value) in enumerate(CUTS):
            if kind == "top_p":
                kept = order[: int((np.cumsum(mass) - mass < value).sum())]
            elif kind == "top_k":
                kept = order[: int(value)]
            else:
                kept = order[: int((mass >= mass[0] * value).sum())]
            inside = labels[t] in kept
            wanted = math.log(np.exp(heard[t][kept]).sum()) if inside else math.inf
            assert ours["kept"][t, place] == pytest.approx(wanted, abs=1e-5)


def test_divergences_over_the_whole_vocabulary(tile):
    """KL both ways, chi-square, and the mean of the clipped ratio."""
    _, _, theirs, ((_, p), (_, q)) = tile
    p, q = p[:, 3:], q[:, 3:]
    assert theirs["kl_cand_ref"] == pytest.approx((np.exp(q) * (q - p)).sum(1), rel=1e-4)
    assert theirs["kl_ref_cand"] == pytest.approx((np.exp(p) * (p - q)).sum(1), rel=1e-4)
    assert theirs["chi2"] == pytest.approx(np.exp(2 * q - p).sum(1) - 1, rel=1e-4)
    for place, bound in enumerate(CLIPS):
        wanted = np.log((np.exp(p) * np.exp(np.clip(q - p, -bound, bound))).sum(1))
        assert theirs["clipped"][:, place] == pytest.approx(wanted, abs=1e-5)


def test_what_nobody_wrote_is_not_a_number(tile):
    """The alternative has no ranks, the reference no divergence from itself."""
    _, ours, theirs, _ = tile
    assert np.isnan(theirs["rank"]).all()
    assert np.isnan(theirs["normalisers"]).all()
    assert np.isnan(ours["kl_cand_ref"]).all()


def test_infinite_logits_are_refused():
    """A configuration that computes NaN says nothing."""
    z = torch.full((1, IDS), torch.nan)
    with pytest.raises(NumericsError):
        fill_evidence(z, torch.tensor([3]), torch.zeros(IDS, dtype=torch.bool), empty_evidence(1))
