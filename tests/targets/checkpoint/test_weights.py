"""Weight forensics: each kind of change leaves its own trace."""

from __future__ import annotations

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from harness.comparisons.weights import read_weights
from harness.targets.checkpoint.fake_quant import apply_rounding, gguf_round_trip, round_to_fp8, round_to_nearest
from harness.targets.checkpoint.loading import load_model
from harness.targets.checkpoint.matrices import matrices
from harness.targets.checkpoint.weights import compare_tensor, weight_evidence
from harness.targets.spec import TargetSpec, parse_spec
from harness.targets.weight_evidence import WeightEvidence
from tests.support.families import copy_with, make_family, make_text_part
from tests.support.toy import edit_json


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


@pytest.mark.parametrize("size", [1e-25, 1e25])
def test_weights_whose_squares_fp32_does_not_hold_are_compared(size):
    """Neither is called equal, nor infinitely far: half of the reference is half of it at every size."""
    weights = torch.randn(96, 256, generator=torch.Generator().manual_seed(1)) * size
    found = compare_tensor("w", weights, weights / 2)
    assert not found.equal
    assert (found.relative_error, found.scale) == pytest.approx((0.5, 0.5), rel=1e-3)


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


@pytest.mark.parametrize("bits", [0, 4])
def test_rescaled_channels_are_no_other_model(bits):
    """Scales of every channel far apart, as smoothing folds them, then 4 bits: the signs are the reference's."""
    spread = torch.exp(1.5 * torch.randn(256, generator=torch.Generator().manual_seed(3)))

    def change(values):
        return round_to_nearest(values * spread, bits, 32) if bits else values * spread

    assert reading(matrices_only(change)).kind == ("grid" if bits else "moved")


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


@pytest.fixture(scope="module")
def mixture(tmp_path_factory):
    """A tiny mixture of experts as the library saves it: one tensor per expert in the file, one per layer in memory."""
    return make_family(tmp_path_factory.mktemp("mixture") / "reference", "mixtral")


def models(*folders):
    return [load_model(parse_spec(str(folder)))[0] for folder in folders]


def test_experts_meet_under_the_librarys_names(mixture, tmp_path):
    """Experts that a file holds one by one are compared as what they become; replaced ones are another model."""
    noise = torch.Generator().manual_seed(9)

    def replace(name, value):
        if "experts" not in name:
            return value
        return (torch.randn(value.shape, generator=noise) * value.float().std()).to(value.dtype)

    other = copy_with(mixture, tmp_path / "other", replace)
    ours, same, theirs = models(mixture, mixture, other)
    equal = read_weights(weight_evidence(same, ours))
    assert (equal.kind, equal.unmatched) == ("equal", ())
    found = weight_evidence(theirs, ours)
    assert found.unmatched_weights == 0
    assert read_weights(found).kind == "unrelated"


def test_rounded_experts_are_found_on_their_grid(mixture):
    """Also where the file holds them fused or transposed: groups run along the inputs."""
    ours = models(mixture)[0]
    theirs, changed = load_model(parse_spec(f"rtn:4g32:{mixture}"))
    reading = read_weights(weight_evidence(theirs, ours))
    assert reading.kind == "grid"
    assert reading.changed_matrices == reading.rounded == changed
    assert reading.grid == "4-bit, 32 per scale"


@pytest.mark.parametrize(("kind", "detail"), [("bnb", "nf4"), ("rtn", "4g32"), ("ggufq", "Q4_0"), ("fp8", "")])
def test_a_claim_is_held_against_the_weights_tensor_by_tensor(mixture, kind, detail):
    """What was rounded as the claim rounds lies on it; what was edited before lies elsewhere, though on the same grid."""
    ours = models(mixture)[0]
    claim = TargetSpec(kind, detail, str(mixture))
    theirs, _ = load_model(claim)
    reading = read_weights(weight_evidence(theirs, ours, {"claim": claim}), "claim")
    assert reading.not_rounded == ()
    edited = models(mixture)[0]
    with torch.no_grad():
        for one in matrices(edited):
            if one.role in {"linear", "expert"}:
                for piece in one.pieces():  # half of one direction is taken out
                    direction = torch.nn.functional.normalize(piece.float().sum(1, keepdim=True), dim=0)
                    piece.sub_((0.5 * direction @ (direction.T @ piece.float())).to(piece.dtype))
    apply_rounding(edited, kind, detail)
    reading = read_weights(weight_evidence(edited, ours, {"claim": claim}), "claim")
    assert reading.rounded < reading.changed_matrices / 2


def test_a_head_that_is_written_out_is_the_embedding(tmp_path, toy):
    """Tied on one side and a tensor of its own on the other, both ways round."""
    untied = tmp_path / "untied"
    shutil.copytree(toy, untied)
    tensors = load_file(untied / "model.safetensors")
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
    save_file(tensors, untied / "model.safetensors", {"format": "pt"})
    edit_json(untied / "config.json", tie_word_embeddings=False)
    tied, apart = models(toy, untied)
    for ours, theirs in ((tied, apart), (apart, tied)):
        reading = read_weights(weight_evidence(theirs, ours))
        assert (reading.kind, reading.unmatched) == ("equal", ())
    with torch.no_grad():
        apart.lm_head.weight.normal_()
    assert read_weights(weight_evidence(tied, apart)).kind == "damaged"


def test_a_text_model_alone_is_compared_with_the_release_that_wraps_it(tmp_path):
    """Names in front differ, towers stand on one side: told, and not held against the text."""
    whole = make_family(tmp_path / "vl", "gemma3")
    text = make_text_part(whole, tmp_path / "text")
    ours, theirs = models(whole, text)
    reading = read_weights(weight_evidence(theirs, ours))
    assert (reading.kind, reading.unmatched) == ("equal", ())
    assert reading.other_modalities > 5


def test_a_bias_that_corrects_a_router_is_compared(tmp_path):
    """It is no parameter but a stored buffer, and decides which experts answer."""
    folder = make_family(tmp_path / "ref", "deepseek_v3")
    ours, theirs = models(folder, folder)
    buffer = next(value for name, value in theirs.named_buffers() if "correction_bias" in name)
    buffer.add_(torch.arange(len(buffer)))
    assert read_weights(weight_evidence(theirs, ours)).equal == len(weight_evidence(theirs, ours).tensors) - 1


def test_too_few_matched_weights_say_nothing():
    """One part in a hundred without a counterpart, by number of weights, and the rest no longer speaks for the model."""
    reference = tensors()
    found = tuple(compare_tensor(name, value, value) for name, value in reference.items())
    evidence = WeightEvidence(tensors=found, unmatched=("experts",), compared_weights=1000, unmatched_weights=20)
    reading = read_weights(evidence)
    assert reading.kind == "unknown"
    assert "2% of the weights" in reading.problem
    assert read_weights(evidence.model_copy(update={"unmatched_weights": 5})).kind == "equal"


def test_what_was_learned_has_few_directions_and_noise_has_not():
    """A merged adapter against noise of the same size."""
    generator = torch.Generator().manual_seed(2)

    def adapter(weight):
        left, right = (torch.randn(n, 4, generator=generator) for n in weight.shape)
        return weight + 0.002 * left @ right.T

    assert reading(matrices_only(adapter)).few_directions
    noisy = reading(matrices_only(lambda w: w + 0.004 * torch.randn(w.shape, generator=generator)))
    assert noisy.kind == "moved"
    assert not noisy.few_directions
