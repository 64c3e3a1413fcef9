"""Grids and round trips."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harness.targets.checkpoint.fake_quant import gguf_round_trip, round_to_fp8, round_to_nearest


@pytest.fixture
def weight():
    return torch.randn(32, 192, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("bits", [8, 6, 5, 4, 3, 2])
def test_each_group_has_at_most_two_to_the_bits_levels(weight, bits):
    """Every group of 64 holds at most 2**bits values, and no weight moves by more than half a step."""
    rounded = round_to_nearest(weight, bits, 64)
    for old, new in zip(weight.reshape(-1, 64), rounded.reshape(-1, 64), strict=True):
        assert len(torch.unique(new)) <= 2**bits
        step = (old.max() - old.min()) / (2**bits - 1)
        assert (old - new).abs().max() <= step / 2 + 1e-6


def test_rounding_twice_is_rounding_once(weight):
    """A weight on the grid stays where it is."""
    once = round_to_nearest(weight, 4, 64)
    assert torch.allclose(round_to_nearest(once, 4, 64), once, atol=1e-6)


def test_a_group_that_does_not_divide_the_row_leaves_a_short_last_group(weight):
    """Rows of 192 in groups of 128: the last 64 weights are rounded among themselves."""
    rounded = round_to_nearest(weight, 4, 128)
    assert torch.allclose(rounded[:, 128:], round_to_nearest(weight[:, 128:], 4, 64))


def test_constant_rows_survive(weight):
    """A group without spread has no step; nothing may become NaN."""
    flat = torch.full((2, 64), 0.25)
    assert torch.equal(round_to_nearest(flat, 4, 64), flat)
    assert torch.equal(round_to_fp8(torch.zeros(2, 8)), torch.zeros(2, 8))


def test_fp8_keeps_four_significant_bits(weight):
    """e4m3 has three stored bits of mantissa: relative error at most 2**-4 above the subnormal range."""
    rounded = round_to_fp8(weight)
    large = weight.abs() > weight.abs().amax(1, keepdim=True) * 2**-10
    assert ((rounded - weight).abs()[large] / weight.abs()[large]).max() <= 2**-4 + 1e-6


def test_q8_0_is_a_lattice_of_the_block_maximum(weight):
    """Q8_0 stores whole multiples of a half-precision step per 32 weights."""
    rounded = gguf_round_trip(weight, "Q8_0")
    blocks = rounded.reshape(-1, 32).numpy().astype(np.float64)
    step = np.abs(blocks).max(1, keepdims=True) / 127
    assert np.abs(blocks / step - np.round(blocks / step)).max() < 0.02


def test_a_group_longer_than_the_row_is_the_row(weight):
    """One scale per row, however large the declared group."""
    assert torch.equal(round_to_nearest(weight, 4, 1 << 20), round_to_nearest(weight, 4, 192))
