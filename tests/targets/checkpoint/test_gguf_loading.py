"""GGUF files are loaded whole, and a file's types are given to the reference's weights tensor by tensor."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harness.errors import BrokenCheckpoint, IncompatibleCandidate
from harness.targets.checkpoint.conversion import gguf_to_checkpoint
from harness.targets.checkpoint.gguf_types import tensor_places
from harness.targets.checkpoint.loading import load_model
from harness.targets.spec import parse_spec
from tests.support.gguf_files import split_gguf, write_gguf
from tests.support.toy import make_toy
from tests.targets.test_gguf_config import LLAMA3, YARN, YARN_FIELDS, llama3_factors


def logits(model):
    ids = torch.arange(3, 243)[None]
    with torch.no_grad():
        return model(ids).logits


def loaded(spec):
    return load_model(parse_spec(str(spec)))[0]


@pytest.mark.parametrize(
    ("rope", "fields", "tensors"),
    [(LLAMA3, {}, {"rope_freqs.weight": llama3_factors()}), (YARN, YARN_FIELDS, {})],
)
def test_a_file_computes_what_its_release_does(tmp_path, rope, fields, tensors):
    """With factors or yarn the logits agree to rounding; without them they would not."""
    folder = make_toy(tmp_path / "toy", rope_parameters=rope)
    file = write_gguf(folder, tmp_path / "x.gguf", "F32", fields=fields, tensors=tensors)
    expected = logits(loaded(folder))
    assert torch.allclose(logits(loaded(f"gguf:{file}")), expected, atol=1e-3)
    lost = write_gguf(folder, tmp_path / "lost.gguf", "F32")
    assert not torch.allclose(logits(loaded(f"gguf:{lost}")), expected, atol=1e-1)


def test_parts_load_as_the_whole_file(toy, tmp_path):
    """Whichever part is given."""
    whole = write_gguf(toy, tmp_path / "whole.gguf", "F32")
    expected = logits(loaded(toy))
    assert torch.equal(logits(loaded(f"gguf:{split_gguf(whole, 'part')[1]}")), expected)


def test_a_converted_file_is_a_checkpoint(toy, tmp_path):
    """Weights, configuration and tokenizer, from which the same model is loaded."""
    file = write_gguf(toy, tmp_path / "x.gguf", "F32")
    gguf_to_checkpoint(file, tmp_path / "out")
    assert torch.equal(logits(loaded(tmp_path / "out")), logits(loaded(toy)))


def test_a_tensor_that_is_missing_is_named(toy, tmp_path):
    """transformers would fill it with random numbers."""
    file = write_gguf(toy, tmp_path / "x.gguf", "F32", fields={"block_count": 3})
    with pytest.raises(BrokenCheckpoint, match=r"model\.layers\.2"):
        loaded(f"gguf:{file}")


def test_the_reference_under_a_files_types_is_the_file(tmp_path):
    """Mixed types, fallbacks and floats: the rebuilt claim has the file's weights, bit for bit."""
    toy = make_toy(tmp_path / "toy", hidden_size=256, intermediate_size=512)
    kinds = {"ffn_down": "Q6_K", "ffn_up": "IQ4_XS", "attn_v": "Q8_0", "attn_k": "BF16", "token_embd": "Q5_1"}
    file = write_gguf(
        toy, tmp_path / "x.gguf", lambda name: next((v for k, v in kinds.items() if k in name), "Q4_K"), file_type=15
    )
    ours, theirs = (loaded(spec) for spec in (f"ggufq:like={file}:{toy}", f"gguf:{file}"))
    for (name, a), (_, b) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert torch.equal(a, b), name


def test_a_file_of_another_shape_cannot_be_rebuilt(toy, tmp_path):
    """Its tensors are not the reference's."""
    larger = make_toy(tmp_path / "larger", layers=3)
    file = write_gguf(larger, tmp_path / "x.gguf", "Q4_0")
    with pytest.raises(IncompatibleCandidate, match=r"blk\.2"):
        loaded(f"ggufq:like={file}:{toy}")


def test_other_builds_come_from_a_gguf_reference(toy, tmp_path):
    """A rung and a dtype, as from a folder; bitsandbytes' codes are put on the dense weights."""
    file = write_gguf(toy, tmp_path / "x.gguf", "F32")
    for kind in ("rtn:4g64", "dtype:bf16", "ggufq:Q8_0"):
        assert torch.equal(logits(loaded(f"{kind}:{file}")), logits(loaded(f"{kind}:{toy}"))), kind
    coarse, exact = logits(loaded(f"bnb:nf4:{file}")), logits(loaded(f"gguf:{file}"))
    assert 0 < float((coarse - exact).abs().max()) < float(exact.abs().max())


@pytest.mark.parametrize("family", ["mixtral", "qwen3_moe"])
def test_experts_have_the_names_of_gguf_files(family):
    """Fused in memory, they are two tensors of a file, row by row."""
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(
        family, vocab_size=64, hidden_size=32, intermediate_size=64, moe_intermediate_size=64, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=1, head_dim=16, num_experts=4, num_local_experts=4,
    )  # fmt: skip
    places = {place.name: place.shape for place in tensor_places(AutoModelForCausalLM.from_config(config))}
    assert places["blk.0.ffn_gate_exps.weight"] == places["blk.0.ffn_up_exps.weight"] == (4, 64, 32)
    assert places["blk.0.ffn_down_exps.weight"] == (4, 32, 64)
    assert places["blk.0.ffn_gate_inp.weight"] == (4, 32)
    assert np.prod(places["token_embd.weight"]) == 64 * 32
