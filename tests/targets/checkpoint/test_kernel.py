"""The token kernel against fp64 arithmetic written out by hand, its oracles, and every edge rule."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import IncompatibleCandidate
from harness.targets.checkpoint.kernel import fold_padding, reduce_tile, softcapped
from harness.targets.rows import (
    FLAG_MASKED,
    FLAG_NON_FINITE,
    FLAG_SUPPORT,
    GRID_STRIDE,
    INVERSE_TEMPERATURES,
    SOFTCAP_STRIDE,
    SOFTCAPS,
    empty_rows,
)

VOCABULARY = 1000


def reduce(z_ref, z_cand, labels=None, vocabulary=None):
    labels = torch.zeros(len(z_ref), dtype=torch.int64) if labels is None else labels
    rows = empty_rows(len(z_ref))
    reduce_tile(z_ref.clone(), z_cand.clone(), labels, vocabulary or z_ref.shape[1], rows)
    return rows


def logits(seed, tokens=40, width=VOCABULARY, spread=4.0):
    return torch.randn(tokens, width, generator=torch.Generator().manual_seed(seed)) * spread


def in_double(z_ref, z_cand):
    log_p, log_q = z_ref.double().log_softmax(-1).numpy(), z_cand.double().log_softmax(-1).numpy()
    return log_p, log_q, np.exp(log_p), np.exp(log_q)


@pytest.mark.parametrize("noise", [1e-3, 0.05, 0.5, 3.0])
def test_every_column_agrees_with_fp64(noise):
    """Each statistic is within 1e-6 of the definition evaluated in fp64 on the same logits, offsets included."""
    z_ref = logits(1) + 30.0
    z_cand = z_ref + noise * logits(2, spread=1.0) - 55.0
    labels = torch.arange(40) % VOCABULARY
    rows = reduce(z_ref, z_cand, labels)
    log_p, log_q, p, q = in_double(z_ref, z_cand)
    middle = 0.5 * (p + q)
    index = np.arange(40)
    expected = {
        "kl_ref_cand": (p * (log_p - log_q)).sum(1),
        "kl_cand_ref": (q * (log_q - log_p)).sum(1),
        "js": 0.5 * (p * np.log(p / middle) + q * np.log(q / middle)).sum(1),
        "tv": 0.5 * np.abs(p - q).sum(1),
        "entropy_ref": -(p * log_p).sum(1),
        "entropy_cand": -(q * log_q).sum(1),
        "nll_ref": -log_p[index, labels],
        "nll_cand": -log_q[index, labels],
        "p_top1_ref": p.max(1),
        "margin_ref": np.sort(p, 1)[:, -1] - np.sort(p, 1)[:, -2],
    }
    for name, values in expected.items():
        assert np.abs(rows[name] - values).max() < 2e-6 * max(1.0, np.abs(values).max()), name
    assert np.abs(rows["kl_ref_cand"] - expected["kl_ref_cand"]).max() < 1e-6 * max(1, expected["kl_ref_cand"].max())


def test_identical_logits_are_exactly_zero():
    """A model compared with itself has divergence 0, not 1e-8."""
    z = logits(3)
    rows = reduce(z, z)
    for name in ("kl_ref_cand", "kl_cand_ref", "tv", "js"):
        assert (rows[name] == 0).all()
    assert (rows["agree"] == 1).all()
    assert (rows["overlap10"] == 10).all()


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.floats(0.001, 5.0))
def test_known_inequalities_hold(seed, noise):
    """Divergences are not negative, JS is at most log 2, and Pinsker bounds the total variation."""
    z_ref = logits(seed, tokens=8, width=200)
    rows = reduce(z_ref, z_ref + noise * logits(seed + 1, tokens=8, width=200, spread=1.0))
    kl, tv = rows["kl_ref_cand"].astype(float), rows["tv"].astype(float)
    assert (kl >= -1e-6).all()
    assert (rows["js"] <= np.log(2) + 1e-6).all()
    assert (tv <= np.sqrt(np.maximum(kl, 0) / 2) + 1e-5).all()


def test_small_noise_follows_the_second_order_law():
    """For iid logit noise of size s the mean KL is s^2/2 (1 - sum p^2), within 5 %."""
    z_ref, noise = logits(5, tokens=400), 0.03
    rows = reduce(z_ref, z_ref + noise * logits(6, tokens=400, spread=1.0))
    p = z_ref.double().softmax(-1).numpy()
    law = 0.5 * noise**2 * (1 - (p**2).sum(1)).mean()
    assert rows["kl_ref_cand"].mean() == pytest.approx(law, rel=0.05)


def test_it_is_not_the_absolute_formula():
    """sum p |log p - log q|, a formula in circulation, is many times larger; ours must not equal it."""
    z_ref = logits(7)
    z_cand = z_ref + 0.05 * logits(8, spread=1.0)
    log_p, log_q, p, _ = in_double(z_ref, z_cand)
    wrong = (p * np.abs(log_p - log_q)).sum(1).mean()
    assert reduce(z_ref, z_cand)["kl_ref_cand"].mean() < wrong / 5


def test_the_temperature_grid_finds_a_scale():
    """Logits scaled by 1.25 are brought back by the inverse temperature 0.8, and only every eighth row carries it."""
    z_ref = logits(9)
    rows = reduce(z_ref, z_ref * 1.25)
    grid = rows["kl_grid"][::GRID_STRIDE]
    assert np.abs(grid[:, INVERSE_TEMPERATURES.index(0.8)]).max() < 1e-5
    assert np.isnan(rows["kl_grid"][1]).all()


@pytest.mark.parametrize("cap", SOFTCAPS)
def test_softcaps_agree_with_their_definition(cap):
    """A candidate that lacks the cap (or has one too many) is brought back to 0 by it; every 64th row carries it."""
    z = logits(9) * 2 + 3
    missing = np.abs(cap) * torch.tanh(z / np.abs(cap))
    z_ref, z_cand = (missing, z) if cap > 0 else (z.clamp(-18, 18), np.abs(cap) * torch.tanh(z.clamp(-18, 18) / -cap))
    rows = reduce(z_ref, z_cand)
    found = rows["kl_softcap"][::SOFTCAP_STRIDE, SOFTCAPS.index(cap)]
    assert np.abs(found).max() < 2e-5
    assert rows["kl_ref_cand"][::SOFTCAP_STRIDE].min() > 1e-3
    assert np.isnan(rows["kl_softcap"][1]).all()
    for other, bent in zip(rows["kl_softcap"][0], softcapped(z_cand[0]), strict=True):
        assert other == pytest.approx(reduce(z_ref[:1], bent[None])["kl_ref_cand"][0], abs=1e-4, rel=1e-4)


def test_padded_ids_change_nothing_but_their_mass():
    """Ids beyond the tokenizer fall into one bucket; the divergence of the real ids is untouched when it is empty."""
    z_ref, z_cand = logits(10), logits(11)
    pad = torch.full((40, 24), -80.0)
    plain = reduce(z_ref, z_cand)
    padded = reduce(torch.cat([z_ref, pad], 1), torch.cat([z_cand, pad], 1), vocabulary=VOCABULARY)
    assert np.abs(plain["kl_ref_cand"] - padded["kl_ref_cand"]).max() < 1e-5
    one_sided = reduce(z_ref, torch.cat([z_cand, pad], 1), vocabulary=VOCABULARY)
    assert np.abs(plain["kl_ref_cand"] - one_sided["kl_ref_cand"]).max() < 1e-5


def test_lumping_never_raises_the_divergence():
    """Data processing: merging ids can only bring two distributions closer."""
    z_ref, z_cand = logits(12), logits(13)
    exact = reduce(z_ref, z_cand)["kl_ref_cand"]
    lumped = reduce(z_ref, z_cand, vocabulary=VOCABULARY - 300)["kl_ref_cand"]
    assert (lumped <= exact + 1e-5).all()


def test_a_vocabulary_narrower_than_the_tokenizer_is_refused():
    """A cut embedding is an error, never a silent slice."""
    with pytest.raises(IncompatibleCandidate, match="scores 10 ids but the tokenizer knows 12"):
        fold_padding(torch.zeros(1, 12), torch.zeros(1, 10), 12)


def test_ids_masked_on_both_sides_contribute_nothing():
    """-inf against -inf is 0, and the fingerprint of a logits processor is flagged."""
    z_ref, z_cand = logits(14), logits(15)
    z_ref[:, 5], z_cand[:, 5] = -torch.inf, -torch.inf
    rows = reduce(z_ref, z_cand, torch.full((40,), 7))
    keep = [i for i in range(VOCABULARY) if i != 5]
    plain = reduce(z_ref[:, keep], z_cand[:, keep], torch.full((40,), 6))
    assert np.abs(rows["kl_ref_cand"] - plain["kl_ref_cand"]).max() < 1e-5
    assert (rows["flags"] & FLAG_MASKED).all()


def test_an_impossible_id_is_a_support_violation():
    """P > 0 where Q = 0 is infinite; the violated mass and the bounded distances remain."""
    z_ref, z_cand = logits(16), logits(17)
    z_cand[3, 100] = -torch.inf
    rows = reduce(z_ref, z_cand)
    assert rows["kl_ref_cand"][3] == np.inf
    assert rows["flags"][3] & FLAG_SUPPORT
    assert 0 < rows["violated_mass"][3] < 1
    assert rows["js"][3] < np.log(2)
    assert np.isfinite(rows["kl_ref_cand"][2])


@pytest.mark.parametrize("poison", [torch.nan, torch.inf])
def test_poisoned_logits_void_the_token_and_nothing_else(poison):
    """NaN and +inf leave NaN statistics and a flag on that token; its neighbours are intact."""
    z_ref, z_cand = logits(18), logits(19)
    z_cand[4, 9] = poison
    rows = reduce(z_ref, z_cand)
    assert rows["flags"][4] & FLAG_NON_FINITE
    assert np.isnan(rows["kl_ref_cand"][4])
    assert np.isfinite(np.delete(rows["kl_ref_cand"], 4)).all()


def test_a_tie_within_one_unit_in_the_last_place_is_agreement():
    """Two logits that differ by one ulp may come out in either order."""
    z_ref = torch.zeros(1, 50)
    z_ref[0, 3], z_ref[0, 4] = 5.0, 4.0
    z_cand = z_ref.clone()
    z_cand[0, 4] = torch.nextafter(torch.tensor(5.0), torch.tensor(9.0))
    assert reduce(z_ref, z_cand)["agree"][0] == 1
    z_cand[0, 4] = 5.1
    assert reduce(z_ref, z_cand)["agree"][0] == 0


def test_the_last_position_has_a_divergence_but_no_label():
    """-1 as label gives a KL and no loss."""
    rows = reduce(logits(20, tokens=1), logits(21, tokens=1), torch.tensor([-1]))
    assert np.isfinite(rows["kl_ref_cand"][0])
    assert np.isnan(rows["nll_ref"][0])


def test_very_negative_logits_are_fast_and_finite():
    """Logits far below the maximum underflow; neither NaN nor the slow subnormal path may result."""
    z_ref = logits(22) - 200.0 * (torch.arange(VOCABULARY) % 2)
    rows = reduce(z_ref, z_ref + 0.1 * logits(23, spread=1.0))
    assert np.isfinite(rows["kl_ref_cand"]).all()
    assert np.isfinite(rows["kl_grid"][::GRID_STRIDE]).all()
