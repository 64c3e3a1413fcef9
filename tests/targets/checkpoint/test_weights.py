"""Weight forensics: each kind of change leaves its own trace."""

from __future__ import annotations

import pytest
import torch

from harness.comparisons.weights import read_weights
from harness.targets.checkpoint.fake_quant import gguf_round_trip, round_to_fp8, round_to_nearest
from harness.targets.checkpoint.weights import compare_tensor
from harness.targets.weight_evidence import WeightEvidence


def tensors(seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = {f"layer.{i}.weight": (96, 256) for i in range(6)} | {f"norm.{i}": (256,) for i in range(3)}
    return {name: torch.randn(shape, generator=generator) * 0.05 for name, shape in shapes.items()}


def reading(change):
    reference = tensors()
    found = tuple(compare_tensor(name, value, change(name, value)) for name, value in reference.items())
    return read_weights(WeightEvidence(tensors=found, unmatched=()))


def matrices_only(change):
    return lambda name, value: change(value) if value.ndim == 2 else value


@pytest.mark.parametrize(
    "change",
    [
        lambda w: round_to_nearest(w, 8, 64),
        lambda w: round_to_nearest(w, 4, 64),
        lambda w: round_to_nearest(w, 3, 64),
        lambda w: round_to_nearest(w, 4, 128).bfloat16().float(),
        round_to_fp8,
        lambda w: gguf_round_trip(w, "Q8_0"),
        lambda w: gguf_round_trip(w, "Q5_0"),
        lambda w: gguf_round_trip(w, "Q4_0").bfloat16().float(),
    ],
)
def test_quantized_weights_are_found_on_a_grid(change):
    """Rounding to any grid is recognised, also after the result was stored as bf16."""
    assert reading(matrices_only(change)).kind == "grid"


def test_small_training_steps_are_not_a_grid():
    """Moves of a thousandth in random directions are 'moved', however small: never quantization."""
    generator = torch.Generator().manual_seed(5)
    found = reading(lambda name, w: w + 5e-5 * torch.randn(w.shape, generator=generator).sign())
    assert found.kind == "moved"
    assert found.on_grid == 0


def test_untouched_cast_scaled_zeroed_permuted_and_foreign_weights():
    """The other kinds, each from its own cause."""
    assert reading(lambda name, w: w.clone()).kind == "equal"
    assert reading(lambda name, w: w.bfloat16().float()).kind == "cast"
    assert reading(lambda name, w: w * 1.2 if name == "norm.0" else w).kind == "scaled"
    assert reading(lambda name, w: torch.zeros_like(w) if name == "layer.3.weight" else w).kind == "damaged"
    assert reading(lambda name, w: w.roll(7, 0) if name == "layer.0.weight" else w).kind == "permuted"
    other = tensors(seed=9)
    assert reading(lambda name, w: other[name]).kind == "unrelated"


def test_a_damaged_tensor_in_a_quantized_model_is_named_first():
    """A zeroed layer explains more than the grid around it."""

    def change(name, w):
        if name == "layer.2.weight":
            return torch.zeros_like(w)
        return round_to_nearest(w, 4, 64) if w.ndim == 2 else w

    found = reading(change)
    assert found.kind == "damaged"
    assert found.examples == ("layer.2.weight",)


def test_nothing_matched_is_unknown():
    """Without tensors to compare nothing is claimed."""
    assert read_weights(WeightEvidence(tensors=(), unmatched=("a", "b"))).kind == "unknown"


def test_another_model_stays_another_model_after_quantization():
    """Foreign weights on a 4-bit grid, or with one tensor zeroed, are not 'the reference on a grid'."""
    other = tensors(seed=9)
    assert (
        reading(lambda name, w: round_to_nearest(other[name], 4, 64) if w.ndim == 2 else other[name]).kind
        == "unrelated"
    )
    zeroed = reading(lambda name, w: torch.zeros_like(w) if name == "norm.0" else other[name])
    assert zeroed.kind == "unrelated"


@pytest.mark.parametrize("width", [1536, 4096])
def test_training_stored_as_bf16_is_not_a_codebook(width):
    """bf16 alone thins out distinct values on wide rows; the reference is held to the same format first."""
    generator = torch.Generator().manual_seed(1)
    reference = torch.randn(32, width, generator=generator) * 0.02
    tuned = (reference + 1e-4 * torch.randn(32, width, generator=generator)).bfloat16().float()
    assert compare_tensor("w", reference, tuned).grid == ""


@pytest.mark.parametrize(
    ("block", "levels", "zero"), [(128, 255, 128), (32, 31, None), (32, 15, None), (128, 15, 8), (16, 63, 32)]
)
def test_common_integer_grids_are_recognised(block, levels, zero):
    """GPTQ's symmetric 8 and 4 bits in groups of 128, Q5_1- and Q4_1-like blocks, Q6_K-like blocks; reference in bf16."""
    reference = (torch.randn(64, 1024, generator=torch.Generator().manual_seed(2)) * 0.02).bfloat16().float()
    blocks = reference.reshape(-1, block)
    if zero is None:
        low = blocks.amin(1, keepdim=True)
        step = (blocks.amax(1, keepdim=True) - low) / levels
        rounded = ((blocks - low) / step).round() * step + low
    else:
        step = 2 * blocks.abs().amax(1, keepdim=True) / levels
        rounded = (blocks / step).round().clamp(-zero, levels - zero) * step
    assert compare_tensor("w", reference, rounded.reshape(64, 1024)).grid
