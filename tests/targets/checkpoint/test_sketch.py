"""The sketched reference against the exact kernel on the same logits: what is equal, what is a bound, what is unbiased."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import IncompatibleCandidate, NumericsError
from harness.targets.checkpoint.kernel import reduce_tile
from harness.targets.checkpoint.sketch import SKETCH, TOP, draw_sketch, from_bytes
from harness.targets.checkpoint.sketch_kernel import reduce_against_sketch
from harness.targets.rows import FLAG_MASKED, FLAG_NON_FINITE, FLAG_SUPPORT, GRID_STRIDE, SOFTCAP_STRIDE, empty_rows

VOCABULARY = 3000
EXACT = (
    "nll_ref", "nll_cand", "entropy_ref", "entropy_cand", "p_top1_ref", "margin_ref", "margin_cand", "top1_ref",
    "top1_cand", "agree", "rank_ref_top1", "overlap5", "overlap10", "violated_mass", "padded_mass",
)  # fmt: skip


def logits(seed, tokens=48, width=VOCABULARY, spread=2.5):
    return torch.randn(tokens, width, generator=torch.Generator().manual_seed(seed)) * spread


def both(z_ref, z_cand, vocabulary=None, seed=7):
    """Rows of the exact kernel, and rows against the sketch."""
    vocabulary = vocabulary or z_ref.shape[1]
    labels = torch.arange(len(z_ref)) % vocabulary
    labels[-1] = -1
    exact, sketched = empty_rows(len(z_ref)), empty_rows(len(z_ref))
    reduce_tile(z_ref.clone(), z_cand.clone(), labels, vocabulary, exact)
    sketch = draw_sketch(z_ref.clone(), labels, vocabulary, seed)
    reduce_against_sketch(sketch, z_cand.clone(), labels, vocabulary, sketched)
    return exact, sketched


CHANGES = {
    "noise": lambda z: z + 0.1 * logits(2, spread=1.0),
    "heavy noise": lambda z: z + 0.8 * logits(2, spread=1.0),
    "temperature": lambda z: z / 1.1,
    "tail leak": lambda z: z + torch.where(z < z.quantile(0.9, -1, keepdim=True), 0.5, 0.0),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_needs_no_tail_is_exact(change):
    """Losses, entropies, margins, ranks and agreement do not come from the draws: they equal the exact kernel's."""
    z = logits(1)
    exact, sketched = both(z, CHANGES[change](z))
    for name in EXACT:
        assert np.allclose(exact[name], sketched[name], rtol=2e-6, atol=2e-6, equal_nan=True), name


@pytest.mark.parametrize("change", CHANGES)
def test_the_estimate_is_right_within_its_own_error_and_the_bound_holds(change):
    """Over 48 tokens the KL is within four of its standard errors, JS and TV within 5 %, and the bound is below."""
    z = logits(1)
    exact, sketched = both(z, CHANGES[change](z))
    error = np.sqrt((sketched["kl_se"].astype(float) ** 2).sum())
    gap = sketched["kl_ref_cand"].sum() - exact["kl_ref_cand"].sum()
    assert error > 0
    assert abs(gap) < 4 * error + 1e-4 * exact["kl_ref_cand"].sum()
    for name in ("kl_cand_ref", "js", "tv"):
        assert sketched[name].sum() == pytest.approx(exact[name].sum(), rel=0.05), name
    assert sketched["kl_lower"].sum() <= exact["kl_ref_cand"].sum() * 1.001


def test_rereadings_agree_with_the_exact_kernel():
    """Temperatures and softcaps of the sketch are the exact kernel's, up to what the draws leave."""
    z = logits(1, tokens=640)
    exact, sketched = both(z, 20 * torch.tanh(z / 20))
    for name, stride in (("kl_grid", GRID_STRIDE), ("kl_softcap", SOFTCAP_STRIDE)):
        ours, theirs = sketched[name][::stride], exact[name][::stride]
        assert np.isfinite(ours).all()
        assert np.allclose(ours.mean(0), theirs.mean(0), rtol=0.05, atol=2e-4), name


def test_the_draws_are_unbiased():
    """The mean over 400 seeds is within four standard errors of the exact KL, and the stated error is no smaller than
    the spread over the seeds (the draws are stratified, so it may be larger)."""
    z = logits(1, tokens=4)
    cand = z + 0.3 * logits(2, tokens=4, spread=1.0)
    sums, errors = [], []
    for seed in range(400):
        exact, sketched = both(z, cand, seed=seed)
        sums.append(float(sketched["kl_ref_cand"].astype(float).sum()))
        errors.append(float(np.sqrt((sketched["kl_se"].astype(float) ** 2).sum())))
    truth = float(exact["kl_ref_cand"].astype(float).sum())
    spread = np.std(sums, ddof=1)
    assert abs(np.mean(sums) - truth) < 4 * spread / 20 + 1e-6
    assert spread < 1.1 * np.mean(errors)


def test_the_same_distribution_is_exactly_zero():
    """Who reproduces every stored number has divergence 0, not the 1e-8 of the rounding."""
    z = logits(3)
    _, sketched = both(z, z)
    for name in ("kl_ref_cand", "kl_cand_ref", "js", "tv", "kl_lower", "kl_se"):
        assert (sketched[name] == 0).all()


def test_a_tiny_difference_is_not_taken_for_none():
    """Noise of 1e-4 on the logits gives about half its variance, not zero."""
    z = logits(3)
    exact, sketched = both(z, z + 1e-4 * logits(4, spread=1.0))
    assert (sketched["kl_ref_cand"] != 0).all()
    assert sketched["kl_ref_cand"].mean() == pytest.approx(exact["kl_ref_cand"].mean(), abs=3e-8)


def test_a_vocabulary_that_fits_into_the_head_needs_no_draws():
    """With 200 ids there is no tail: everything is exact up to the rounding of the codes."""
    z = logits(5, width=200)
    exact, sketched = both(z, z + 0.2 * logits(6, width=200, spread=1.0))
    assert (sketched["kl_se"] == 0).all()
    for name in ("kl_ref_cand", "kl_cand_ref", "js", "tv"):
        assert np.allclose(exact[name], sketched[name], rtol=1e-3, atol=1e-6), name


def test_padding_on_both_sides_counts_once():
    """Ids beyond the tokenizer enter the KL as one bucket, as in the exact kernel."""
    z = logits(7, width=900)
    exact, sketched = both(z, z + 0.2 * logits(8, width=900, spread=1.0), vocabulary=800)
    assert np.allclose(exact["kl_ref_cand"], sketched["kl_ref_cand"], rtol=0.15, atol=1e-4)
    assert sketched["kl_ref_cand"].sum() == pytest.approx(exact["kl_ref_cand"].sum(), rel=0.02)
    assert np.allclose(exact["padded_mass"], sketched["padded_mass"], rtol=1e-3)


def test_edges_of_the_candidate():
    """NaN and +inf void a token and keep its place; ids ruled out count as violated mass; both sides masked is told."""
    z = logits(9)
    cand = z.clone()
    cand[0, 5] = torch.nan
    cand[1, 5] = torch.inf
    cand[2, int(z[2].argmax())] = -torch.inf
    exact, sketched = both(z, cand)
    assert list(sketched["flags"][:3]) == [FLAG_NON_FINITE, FLAG_NON_FINITE, FLAG_SUPPORT]
    assert np.isnan(sketched["kl_ref_cand"][:2]).all()
    assert np.isinf(sketched["kl_ref_cand"][2])
    assert sketched["violated_mass"][2] == pytest.approx(exact["violated_mass"][2], rel=1e-3)
    assert np.isfinite(sketched["kl_ref_cand"][3:]).all()
    masked = z.clone()
    masked[:, 17] = -torch.inf
    _, sketched = both(masked, masked)
    assert (sketched["flags"] & FLAG_MASKED).all()
    assert (sketched["kl_ref_cand"] == 0).all()


def test_what_cannot_be_sketched_is_refused():
    """A reference with NaN, and a reference narrower than its tokenizer."""
    z = logits(9)
    labels = torch.zeros(len(z), dtype=torch.int64)
    with pytest.raises(IncompatibleCandidate, match="reference scores 3000"):
        draw_sketch(z, labels, VOCABULARY + 1, 0)
    z[0, 0] = torch.nan
    with pytest.raises(NumericsError):
        draw_sketch(z, labels, VOCABULARY, 0)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.floats(0.0, 3.0), st.sampled_from([20, 256, 257, 1500]))
def test_the_bound_never_exceeds_the_truth(seed, noise, width):
    """Lumping loses information, never adds it, up to the rounding of the stored logs; the estimate is not below it.

    Rounding each log-probability by at most 2^-12 moves KL by at most 2^-11 E|log P/Q|, itself at most KL + sqrt(2 KL).
    """
    z = logits(seed, tokens=6, width=width)
    exact, sketched = both(z, z + noise * logits(seed + 1, tokens=6, width=width, spread=1.0))
    kl = exact["kl_ref_cand"]
    assert (sketched["kl_lower"] <= kl + 1e-6 + 2**-11 * (kl + np.sqrt(2 * np.maximum(kl, 0)))).all()
    assert (sketched["kl_ref_cand"] >= sketched["kl_lower"] - 1e-7).all()


def test_a_token_takes_1626_bytes_and_ids_survive():
    """The size that the documentation states; ids of a million are stored in three bytes."""
    assert SKETCH.itemsize == 1626
    z = torch.zeros(1, 300)
    z[0, 299] = 5.0
    sketch = draw_sketch(z, torch.zeros(1, dtype=torch.int64), 300, 1)
    head = from_bytes(sketch["ids"])[0]
    assert head[0] == 299
    assert len(set(head)) == TOP
    assert not set(from_bytes(sketch["draws"])[0]) & set(head)
