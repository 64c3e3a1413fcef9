"""The certified effect: below the truth in all but alpha of runs, and positive where there is enough to see."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from harness.evidence.sequential.certified import certified_effect
from tests.support.worlds import make_world

WORLD = make_world()
CLIP = 2.0


def bound(server, tokens, seed, alpha=0.05):
    """The bound from fresh tokens, for the alternative b, and the true mean divergence on these contexts."""
    contexts, drawn = WORLD.draw(np.random.default_rng(seed), WORLD.distribution(server), tokens, 1)
    p, q, s = (WORLD.logs[WORLD.names.index(name)][contexts] for name in ("p", "b", server))
    gap = np.clip(q - p, -CLIP, CLIP)
    means = np.log((np.exp(p) * np.exp(gap)).sum(-1))
    truth = float((np.exp(s) * (s - p)).sum(-1).mean())
    return certified_effect(gap[np.arange(tokens), drawn], means, CLIP, alpha, 1), truth


@pytest.mark.parametrize("server", ["p", "h", "a", "b", "c"])
def test_the_truth_is_hardly_ever_below_the_bound(server):
    """Whatever the server is: listed, unlisted, honest."""
    count = 300
    wrong = sum(low > truth for low, truth in (bound(server, 400, seed) for seed in range(count)))
    assert wrong <= binom.ppf(0.999, count, 0.05)


def test_a_far_build_is_certified_and_an_honest_one_is_not():
    """Positive, below the truth, and never positive for the reference."""
    low, truth = bound("b", 2000, 1)
    assert 0.3 * truth < low < truth
    assert bound("p", 2000, 1)[0] < 0


def test_no_tokens_certify_nothing():
    """Minus infinity, not zero."""
    assert certified_effect(np.zeros(0), np.zeros(0), CLIP, 0.05, 1) == float("-inf")
