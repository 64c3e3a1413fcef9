"""Texts against the probabilities that are told of them: honest hosts at their level, other texts found."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from harness.evidence.sequential.claims import log_forged, spare_mass

IDS, SILENT = 12, 2  # the first ids are silent
ALPHA, RUNS, TOKENS = 0.05, 800, 120


def path(rng, drawn_from, told, listed=8):
    """Evidence over tokens that are drawn from one distribution, while another is told."""
    contexts = rng.integers(0, len(told), TOKENS)
    tokens = (drawn_from[contexts].cumsum(-1) > rng.random(TOKENS)[:, None]).argmax(-1)
    heard = tokens >= SILENT
    contexts, tokens = contexts[heard], tokens[heard]
    p = told[contexts]
    order = np.argsort(-p, axis=-1)[:, :listed]
    shown = np.zeros_like(p, dtype=bool)
    np.put_along_axis(shown, order, True, -1)
    shown[np.arange(len(tokens)), tokens] = True
    loud = np.where(shown, p, 0.0)
    loud[:, :SILENT] = 0.0
    unlisted = np.clip(1 - (p * shown).sum(-1), 0, 1)
    smallest = np.where(shown, p, 1.0).min(-1)
    builds = drawn_from / drawn_from[:, SILENT:].sum(-1, keepdims=True)
    return log_forged(
        (loud.argmax(-1) == tokens).astype(float), loud.max(-1), np.log(p[np.arange(len(tokens)), tokens]),
        (p * shown)[:, :SILENT].sum(-1), spare_mass(unlisted, smallest, (p * shown)[:, :SILENT].sum(-1), p[:, :SILENT].sum(-1)),
        np.log(builds[contexts, tokens])[:, None], lists=listed > 1,
    )  # fmt: skip


def worlds(rng, noise):
    """Distributions on some contexts, and others nearby."""
    z = 1.5 * rng.normal(size=(20, IDS))
    other = z + noise * rng.normal(size=z.shape)
    return (np.exp(one) / np.exp(one).sum(-1, keepdims=True) for one in (z, other))


@pytest.mark.parametrize("listed", [1, 3, 8, 12])
def test_a_text_that_was_drawn_from_what_is_told_is_not_accused(listed):
    """For any length of the lists, silent ids among them or not; exact binomial bound."""
    rng = np.random.default_rng(1)
    wrong = 0
    for _ in range(RUNS):
        told, _ = worlds(rng, 1.0)
        wrong += bool(path(rng, told, told, listed).max() >= np.log(1 / ALPHA))
    assert wrong <= binom.ppf(0.999, RUNS, ALPHA)


def test_a_text_of_another_model_is_found():
    """Within the tokens of two replies."""
    rng = np.random.default_rng(2)
    found = 0
    for _ in range(100):
        told, other = worlds(rng, 1.5)
        found += bool(path(rng, other, told).max() >= np.log(1 / ALPHA))
    assert found >= 90


def test_greedy_text_is_found_by_bets_alone():
    """No build is needed: the likeliest token comes more often than it is told to."""
    rng = np.random.default_rng(3)
    told, _ = worlds(rng, 1.0)
    greedy = np.eye(IDS)[np.where(np.arange(IDS) >= SILENT, told, 0.0).argmax(-1)] * 0.98 + 0.02 / IDS
    assert path(rng, greedy, told).max() > np.log(1 / ALPHA)
