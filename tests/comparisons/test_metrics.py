"""Headline numbers from rows whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from harness.comparisons.distributions.band import against_band
from harness.comparisons.distributions.metrics import headline, points, with_floors
from harness.comparisons.distributions.scalar import scalar_fit
from harness.comparisons.distributions.slices import all_slices
from harness.comparisons.distributions.worst import worst_items
from harness.comparisons.table import TokenTable
from harness.prompts.sequences import document_sequence
from harness.targets.rows import (
    FLAG_NON_FINITE,
    FLAG_SUPPORT,
    GRID_STRIDE,
    INVERSE_TEMPERATURES,
    SOFTCAP_STRIDE,
    SOFTCAPS,
    empty_rows,
)


def table(kl=0.1, documents=12, tokens=40, seed=0, lengths=None):
    rng = np.random.default_rng(seed)
    parts = []
    for index in range(documents):
        count = lengths[index] if lengths else tokens
        sequence = document_sequence(f"d{index}", ("prose", "code")[index % 2], f"d{index}", range(count + 8), 8)
        rows = empty_rows(count)
        rows["position"] = np.arange(8, 8 + count)
        rows["kl_ref_cand"] = kl * rng.exponential(1.0, count)
        rows["kl_cand_ref"] = rows["js"] = rows["kl_ref_cand"]
        rows["tv"] = 0.2
        rows["agree"] = rng.random(count) < 0.8
        rows["margin_ref"] = rng.random(count)
        rows["p_top1_ref"] = rng.random(count)
        rows["nll_ref"], rows["nll_cand"] = 2.0, 2.1
        rows["entropy_ref"] = rows["entropy_cand"] = 1.0
        rows["padded_mass"] = 0.0
        parts.append((sequence, rows))
    return TokenTable.build(parts)


def by_key(checks):
    return {check.key: check for check in checks}


def test_simple_numbers_come_out():
    """EAR is 1 - mean TV, the perplexity ratio is exp of the mean loss difference, dp is exact."""
    found = by_key(headline(table()))
    assert found["ear"].value == pytest.approx(0.8)
    assert found["ppl_ratio"].value == pytest.approx(np.exp(0.1), rel=1e-4)
    assert found["dp_rms"].value == pytest.approx(np.exp(-2.0) - np.exp(-2.1), rel=1e-4)
    assert found["kl_ref_cand"].clusters == 12


def test_means_weigh_tokens_not_documents():
    """On ragged documents the token-weighted mean differs from the mean of document means, and is the one reported."""
    ragged = table(lengths=[10] * 11 + [400])
    ragged.rows["kl_ref_cand"][ragged.owner == 11] = 1.0
    ragged.rows["kl_ref_cand"][ragged.owner != 11] = 0.0
    assert by_key(headline(ragged))["kl_ref_cand"].value == pytest.approx(400 / 510, rel=1e-6)


def test_the_floor_is_the_worst_honest_value_and_small_effects_are_flagged():
    """Beside each number stands the honest configuration that moves it most; under twice of it is floor-limited."""
    checks = with_floors(headline(table(kl=0.015)), [points(table(kl=0.01)), points(table(kl=0.001))])
    kl = by_key(checks)["kl_ref_cand"]
    assert kl.floor == pytest.approx(0.01, rel=0.2)
    assert "floor" in kl.note
    assert "floor" not in by_key(with_floors(headline(table(kl=0.1)), [points(table(kl=0.01))]))["kl_ref_cand"].note


def test_the_band_is_paired_on_shared_items_and_the_widest_member_counts():
    """Ten times the band reads as about ten; members that did not move are no yardstick."""
    candidate = table(kl=0.1, seed=1)
    reading = against_band(candidate, {"narrow": table(kl=0.001, seed=1), "wide": table(kl=0.01, seed=1)})
    assert reading.member == "wide"
    assert reading.ratio == pytest.approx(10, rel=1e-4)
    assert against_band(candidate, {"still": table(kl=0.0)}) is None


@pytest.mark.parametrize("size", [0.0, 1e-9, 1.0])
def test_divergences_that_are_rounding_alone_are_bounded_and_accuse_nobody(size):
    """A mean below zero, or of exactly zero: the magnitudes bound the ratio; however large, they are no accusation."""
    candidate = table(kl=0.0)
    noise = np.random.default_rng(5).normal(0.0, 1.0, len(candidate.rows))
    candidate.rows["kl_ref_cand"] = size * (noise - noise.mean() - 0.01)
    reading = against_band(candidate, {"bf16": table(kl=1e-3, seed=1)})
    assert reading.fail_low <= 1.0
    assert (reading.high < 1e-4) == (size < 1.0)


def test_voided_and_impossible_tokens_are_counted_and_left_out_of_means():
    """NaN rows and infinite divergences never enter a mean; they are counted."""
    damaged = table()
    damaged.rows["flags"][0] |= FLAG_NON_FINITE
    damaged.rows["kl_ref_cand"][0] = np.nan
    damaged.rows["flags"][1] |= FLAG_SUPPORT
    damaged.rows["kl_ref_cand"][1] = np.inf
    assert (damaged.non_finite, damaged.violations) == (1, 1)
    assert np.isfinite(by_key(headline(damaged))["kl_ref_cand"].value)
    assert by_key(headline(damaged))["top1_agreement"].tokens == len(damaged.rows) - 1


def test_a_scale_is_fitted_and_noise_is_not():
    """A parabola with its minimum at 0.8 gives tau 1.25 and the whole share; a flat curve explains nothing."""
    scaled, flat = table(), table()
    betas = np.array(INVERSE_TEMPERATURES)
    for part, curve in ((scaled, (betas - 0.8) ** 2), (flat, 1.0 + (betas - 1.0) ** 2)):
        part.rows["kl_grid"][::GRID_STRIDE] = curve
    fit = scalar_fit(scaled)
    assert fit.tau == pytest.approx(1.25, rel=0.01)
    assert fit.share == pytest.approx(1.0, abs=0.02)
    assert scalar_fit(flat).share == pytest.approx(0.0, abs=1e-6)


def test_a_softcap_is_named_where_it_explains_more_than_a_temperature():
    """Rows whose divergence vanishes under a cap of 30 name that cap, with the whole share."""
    capped = table()
    capped.rows["kl_grid"][::GRID_STRIDE] = 1.0 + (np.array(INVERSE_TEMPERATURES) - 1.0) ** 2
    few = slice(0, None, SOFTCAP_STRIDE)
    capped.rows["kl_softcap"][few] = capped.rows["kl_ref_cand"][few, None] * np.abs(np.array(SOFTCAPS) - 30.0) / 80
    fit = scalar_fit(capped)
    assert fit.softcap == 30.0
    assert fit.share == pytest.approx(1.0)
    assert "softcap of 30" in fit.what
    capped.rows["kl_softcap"][few] = capped.rows["kl_ref_cand"][few, None] * 1.1
    assert scalar_fit(capped).softcap == 0.0


def test_slices_cover_and_worst_items_are_in_order():
    """Domains and positions appear with their tokens; the worst item has the largest mean."""
    whole = table()
    slices = all_slices(whole)
    assert sum(s.tokens for s in slices if s.axis == "domain") == len(whole.rows)
    assert sum(s.tokens for s in slices if s.axis == "position") == len(whole.rows)
    worst = worst_items(whole)
    assert [item.kl for item in worst] == sorted((item.kl for item in worst), reverse=True)
    assert len(worst[0].excerpt) == 24
