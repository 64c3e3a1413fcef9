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
