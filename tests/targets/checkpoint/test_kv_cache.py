"""Rounded caches: turned heads lose less to outliers, and turning alone changes nothing."""

from __future__ import annotations

import pytest
import torch

from harness.targets.checkpoint.kv_cache import (
    ROUNDINGS,
    hadamard,
    interleaved,
    round_blocks,
    round_cache,
    separated,
    turned,
)


@pytest.fixture
def heads():
    """Keys with one channel far out, as they are."""
    states = torch.randn(2, 3, 10, 128, generator=torch.Generator().manual_seed(0))
    states[..., 5] *= 40.0
    return states


def error(states, rounded):
    return float((states - rounded).square().mean().sqrt())


@pytest.mark.parametrize("width", [2, 64, 128])
def test_the_matrix_is_its_own_inverse(width):
    """So that what is turned for storing is turned back by the same."""
    matrix = hadamard(width)
    torch.testing.assert_close(matrix @ matrix, torch.eye(width), atol=1e-5, rtol=0)
    torch.testing.assert_close(matrix, matrix.T)


def test_turning_alone_changes_nothing(heads):
    """Without rounding in between."""
    torch.testing.assert_close(turned(heads, lambda one: one, 64), heads, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("bits", [8, 4])
def test_outliers_cost_less_where_heads_are_turned(heads, bits):
    """Keys in one block of 128, values in two of 64; a width that is no multiple of 64 is not turned."""
    plain, key, value = (
        error(heads, one)
        for one in (round_blocks(heads, bits), round_cache(heads, bits, key=True), round_cache(heads, bits, key=False))
    )
    assert max(key, value) < 0.9 * plain
    narrow = heads[..., :96]
    assert torch.equal(round_cache(narrow, bits, key=True), round_blocks(narrow, bits))


def test_heads_go_into_the_order_of_the_file_and_back(heads):
    """The halves that turn together lie side by side."""
    assert torch.equal(separated(interleaved(heads)), heads)
    assert interleaved(torch.arange(6.0)).tolist() == [0, 3, 1, 4, 2, 5]


def test_every_kind_keeps_shape_and_number_format(heads):
    """Whatever the model runs in."""
    for keys, values in ROUNDINGS.values():
        for rounding in (keys, values):
            found = rounding(heads.bfloat16())
            assert (found.shape, found.dtype) == (heads.shape, torch.bfloat16)
