"""Narrow matrices multiplied in fp32: as exact as torch's own way, and only where that is meant."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from harness.targets.checkpoint import narrow_products
from harness.targets.checkpoint.narrow_products import WIDE_FROM, linear, native_linear

NARROW = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])


def matrices(dtype, rows=70, inputs=96, outputs=40, seed=0):
    torch.manual_seed(seed)
    return torch.randn(rows, inputs).to(dtype), torch.randn(outputs, inputs).to(dtype), torch.randn(outputs).to(dtype)


@NARROW
def test_results_are_rounded_as_correctly_as_torchs_own(dtype):
    """All but a few of a thousand are the correctly rounded value, as they are when torch multiplies."""
    x, w, b = matrices(dtype)
    true = (x.double() @ w.double().T + b.double()).to(dtype)
    with torch.inference_mode():
        assert (linear(x, w, b) == true).float().mean() > 0.998
        assert (native_linear(x, w, b) == true).float().mean() > 0.998


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 3), st.integers(1, 60), st.integers(1, 80), st.integers(1, 50), st.booleans())
def test_shapes_and_strides_are_torchs(leading, rows, inputs, outputs, transposed):
    """Leading axes stay, a transposed weight is read as it lies, and values agree to a rounding."""
    x = torch.randn(leading, rows, inputs).bfloat16()
    w = torch.randn(inputs, outputs).bfloat16().t() if transposed else torch.randn(outputs, inputs).bfloat16()
    with torch.inference_mode():
        ours, torchs = linear(x, w), native_linear(x, w)
    assert ours.shape == torchs.shape
    assert ours.dtype == torchs.dtype
    torch.testing.assert_close(ours.float(), torchs.float(), rtol=2**-7, atol=0.02 * inputs**0.5 / 10)


def test_a_weight_in_parts_is_the_weight_whole(monkeypatch):
    """A head larger than what is widened at once gives the same numbers."""
    x, w, b = matrices(torch.bfloat16)
    with torch.inference_mode():
        whole = linear(x, w, b)
        monkeypatch.setattr(narrow_products, "_AT_ONCE", 7 * 96)
        assert torch.equal(linear(x, w, b), whole)


class Packed(nn.Parameter):
    """A weight that calls itself bf16 and is not."""


@pytest.mark.parametrize("case", ["fp32", "few rows", "a subclass", "training"])
def test_everything_else_is_torchs_own(case, monkeypatch):
    """Other number formats, short inputs, packed weights and training are left alone, to the last bit."""
    x, w, b = matrices(torch.bfloat16)
    if case == "fp32":
        x, w, b = x.float(), w.float(), b.float()
    if case == "few rows":
        x = x[: WIDE_FROM - 1]
    if case == "a subclass":
        w = Packed(w, requires_grad=False)
    calls = []
    monkeypatch.setattr(narrow_products, "native_linear", lambda *given: calls.append(given) or native_linear(*given))
    with torch.inference_mode(case != "training"):
        found = linear(x, w, b)
        assert torch.equal(found, native_linear(x, w, b))
    ((given_x, *_),) = calls
    assert given_x is x


@pytest.mark.parametrize("slow", [True, False])
def test_it_is_put_in_place_only_where_the_processor_needs_it(slow, monkeypatch):
    """Processors with narrow instructions keep torch's own way."""
    monkeypatch.setattr(narrow_products, "are_slow", lambda: slow)
    monkeypatch.setattr(nn.functional, "linear", native_linear)
    narrow_products.widen()
    assert (nn.functional.linear is linear) == slow
