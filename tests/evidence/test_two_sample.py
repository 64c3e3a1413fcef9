"""Without weights: p-values are never 0 and uniform enough under the null, and lengths are not mistaken for content."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from harness.evidence.two_sample import block_test, edit, hamming, mmd_test

TOKENS = st.lists(st.integers(0, 4), max_size=12)


def slow_distance(a, b):
    """Levenshtein by the book."""
    table = [[max(i, j) if not min(i, j) else 0 for j in range(len(b) + 1)] for i in range(len(a) + 1)]
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            change = table[i - 1][j - 1] + (a[i - 1] != b[j - 1])
            table[i][j] = min(table[i - 1][j] + 1, table[i][j - 1] + 1, change)
    return table[-1][-1]


@given(TOKENS, TOKENS)
def test_kernels_are_symmetric_and_one_for_equal_replies(a, b):
    """And the edit kernel is the textbook's distance."""
    for kernel in (hamming, edit):
        assert kernel(a, b) == pytest.approx(kernel(b, a))
        assert kernel(a, a) == pytest.approx(1.0)
        assert 0.0 <= kernel(a, b) <= 1.0 + 1e-12
    if a and b:
        assert edit(a, b) == pytest.approx(1 - slow_distance(a, b) / max(len(a), len(b)))


def replies(rng, odds, prompts=6, count=5, length=8):
    """Replies of independent tokens."""
    return [[rng.choice(5, length, p=odds).tolist() for _ in range(count)] for _ in range(prompts)]


def test_equal_endpoints_are_told_apart_no_more_often_than_alpha():
    """At alpha 0.1, with 19 permutations: the +1 keeps the size."""
    rng = np.random.default_rng(3)
    odds = [0.4, 0.3, 0.1, 0.1, 0.1]
    found = [mmd_test(replies(rng, odds), replies(rng, odds), hamming, 19, seed)[1] for seed in range(150)]
    assert min(found) >= 1 / 20
    assert sum(p <= 0.1 for p in found) <= binom.ppf(0.999, 150, 0.1)


@pytest.mark.parametrize("kernel", [hamming, edit])
def test_different_endpoints_are_told_apart(kernel):
    """The smallest p that the permutations allow."""
    rng = np.random.default_rng(4)
    ours, theirs = replies(rng, [0.6, 0.1, 0.1, 0.1, 0.1]), replies(rng, [0.1, 0.1, 0.1, 0.1, 0.6])
    statistic, p = mmd_test(ours, theirs, kernel, 99, 1)
    assert statistic > 0
    assert p == 0.01


def test_prompts_of_their_own_are_not_a_difference():
    """Each prompt has one constant reply, the same on both sides: nothing differs, and nothing can be permuted."""
    same = [[[k] * 4, [k] * 4] for k in range(5)]
    assert mmd_test(same, same, hamming, 50, 1) == (pytest.approx(0.0), 1.0)


def test_blocks_are_the_unit():
    """Four blocks a side cannot reach p = 0.02, however many values each holds; ten can."""
    rng = np.random.default_rng(5)
    assert block_test(np.zeros(4) + rng.normal(size=4) * 1e-3, np.ones(4), 999, 1)[1] == pytest.approx(2 / 70)
    shift, p = block_test(rng.normal(size=12), 5 + rng.normal(size=12), 999, 1)
    assert shift == pytest.approx(5, abs=1)
    assert p == 1 / 1000
    assert block_test(np.ones(3), np.ones(3), 99, 1) == (0.0, 1.0)


@pytest.mark.parametrize(
    "call",
    [
        lambda: mmd_test([[[1]]], [[[1], [2]]], hamming, 9, 1),
        lambda: block_test(np.array([np.nan]), np.ones(2), 9, 1),
        lambda: block_test(np.array([]), np.ones(2), 9, 1),
    ],
)
def test_too_little_is_refused(call):
    """One reply, a missing value, an empty side."""
    with pytest.raises(ValueError, match=r"\w"):
        call()
