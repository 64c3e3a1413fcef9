"""llama.cpp's own quantizer, called through the wheel's library."""

from __future__ import annotations

import gguf
import numpy as np
import pytest

from harness.errors import MissingExtra, TargetRefused
from harness.targets.checkpoint import ggml
from harness.targets.checkpoint.ggml import IN_PYTHON, NEEDS_IMPORTANCE, quantized, round_trip
from harness.targets.gguf_file import TYPES

ROWS = (np.random.default_rng(0).standard_normal((6, 512)) * 0.04).astype(np.float32)
#: Relative error of each type on normal numbers, in decibels: what the format's bits allow.
SQNR = {
    "Q4_0": 21, "Q4_1": 21, "Q5_0": 27, "Q5_1": 27, "Q8_0": 44, "Q2_K": 10, "Q3_K": 15.5, "Q4_K": 22, "Q5_K": 28,
    "Q6_K": 34, "IQ4_NL": 21.5, "IQ4_XS": 21.5, "IQ3_S": 15, "IQ3_XXS": 12, "IQ2_S": 10, "IQ2_XS": 9.5, "IQ2_XXS": 8,
    "IQ1_S": 5.5, "IQ1_M": 5.5, "MXFP4": 17,
}  # fmt: skip


@pytest.mark.parametrize("kind", IN_PYTHON)
def test_simple_types_are_byte_for_byte_the_packages(kind):
    """So the package may stand in for them where the library is absent."""
    assert np.array_equal(quantized(ROWS, kind), gguf.quants.quantize(ROWS, gguf.GGMLQuantizationType[kind]))


@pytest.mark.parametrize(
    "kind", [pytest.param(one, marks=pytest.mark.slow) if one.startswith("IQ1") else one for one in SQNR]
)
def test_every_type_comes_back_as_near_as_its_bits_allow(kind):
    """Quantized by llama.cpp and decoded by the package; types that need one get an importance matrix of ones."""
    importance = np.ones(512, dtype=np.float32) if kind.startswith(("IQ1", "IQ2")) else None
    error = round_trip(ROWS, kind, importance) - ROWS
    assert 10 * np.log10((ROWS**2).sum() / (error**2).sum()) > SQNR[kind]


@pytest.mark.parametrize("kind", ["TQ1_0", "TQ2_0"])
def test_ternary_types_keep_ternary_weights(kind):
    """They are made for weights of three values, and come near no others."""
    rows = np.sign(ROWS).astype(np.float32) * (np.abs(ROWS) > 0.02) * np.float32(0.03125)
    assert np.allclose(round_trip(rows, kind), rows, rtol=1e-3)


def test_bf16_and_fp16_are_rounded_as_torch_does():
    """Float types in a file are claims, too."""
    import torch

    for kind, dtype in (("BF16", torch.bfloat16), ("F16", torch.float16)):
        assert np.array_equal(round_trip(ROWS, kind), torch.from_numpy(ROWS).to(dtype).float().numpy())


def test_an_importance_matrix_moves_the_error_where_it_does_not_matter():
    """Columns that count a hundred times as much come out nearer."""
    importance = np.where(np.arange(512) % 8 == 0, 100.0, 1.0).astype(np.float32)
    plain, weighted = (round_trip(ROWS, "Q3_K", known) - ROWS for known in (None, importance))
    assert (weighted[:, ::8] ** 2).sum() < 0.8 * (plain[:, ::8] ** 2).sum()


@pytest.mark.parametrize("kind", NEEDS_IMPORTANCE)
def test_types_that_need_an_importance_matrix_are_refused_without(kind):
    """llama.cpp would end the process."""
    with pytest.raises(TargetRefused, match="importance matrix"):
        round_trip(ROWS, kind)


def test_without_the_library_simple_types_still_work(monkeypatch):
    """K-types name the extra that brings it."""
    ggml._library.cache_clear()
    monkeypatch.setattr(ggml.importlib.util, "find_spec", lambda name: None)
    assert round_trip(ROWS, "Q4_0").shape == ROWS.shape
    with pytest.raises(MissingExtra) as refused:
        round_trip(ROWS, "Q4_K")
    assert refused.value.fix == "pip install 'fidelity-harness[kquants]'"


def test_all_types_are_known():
    """No type of the format was forgotten in the table of errors but floats, integers, ternary ones and two newer ones."""
    left = set(TYPES) - set(SQNR) - {"F32", "F16", "BF16", "F64", "I8", "I16", "I32", "I64"}
    assert left == {"NVFP4", "Q1_0", "TQ1_0", "TQ2_0"}
