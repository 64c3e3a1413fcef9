"""Experts, which the library fuses into one parameter, are read from the formats that store them apart and together."""

from __future__ import annotations

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from harness.targets.checkpoint.loading import load_model
from harness.targets.spec import parse_spec
from tests.support import quantized
from tests.support.quantized import RECIPES, nearest_fp4, nibbles, write
from tests.support.toy import edit_json, make_toy

NAMES = ("GPTQ 4 bits", "AWQ gemm", "FP8 per block", "ModelOpt NVFP4", "compressed-tensors int4", "MLX 4 bits")


@pytest.fixture(scope="module")
def mixture(tmp_path_factory):
    """A tiny Qwen3 mixture of experts as it is published: one tensor per expert."""
    from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

    folder = make_toy(tmp_path_factory.mktemp("moe") / "moe", layers=1)
    torch.manual_seed(0)
    fields = {
        "vocab_size": 258, "hidden_size": 64, "intermediate_size": 64, "moe_intermediate_size": 64, "head_dim": 32,
        "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1, "num_experts": 4, "num_experts_per_tok": 2,
        "bos_token_id": 256, "eos_token_id": 257, "initializer_range": 0.15,
    }  # fmt: skip
    Qwen3MoeForCausalLM(Qwen3MoeConfig(**fields)).save_pretrained(folder)
    return folder


def dense_copy(base, folder, truth):
    """The folder as dense fp32 weights."""
    shutil.copytree(base, folder)
    save_file(
        {name: value.float().contiguous() for name, value in truth.items()},
        str(folder / "model.safetensors"),
        {"format": "pt"},
    )
    return folder


def assert_equal_models(one, other):
    """Every parameter in memory, fused ones included."""
    ours, theirs = (load_model(parse_spec(str(folder)))[0].float().state_dict() for folder in (one, other))
    assert set(ours) == set(theirs)
    for name, value in theirs.items():
        assert torch.allclose(ours[name], value, rtol=1e-5, atol=1e-6), name


@pytest.mark.parametrize("name", NAMES)
def test_packed_experts_become_the_fused_parameter(mixture, tmp_path, name):
    """The router stays as it is; all experts are those that were packed."""
    truth = write(mixture, tmp_path / "packed", RECIPES[name])
    assert sum("experts" in tensor for tensor in truth) == 12
    assert_equal_models(tmp_path / "packed", dense_copy(mixture, tmp_path / "dense", truth))


def test_experts_that_mlx_stacks_get_their_names_back(mixture, tmp_path):
    """mlx-lm stores all experts of a matrix as one packed tensor under switch_mlp."""
    truth = write(mixture, tmp_path / "packed", RECIPES["MLX 4 bits"])
    file = tmp_path / "packed" / "model.safetensors"
    stored = load_file(str(file))
    for matrix in ("gate_proj", "up_proj", "down_proj"):
        for part in ("weight", "scales", "biases"):
            each = [stored.pop(f"model.layers.0.mlp.experts.{k}.{matrix}.{part}") for k in range(4)]
            words = torch.stack([one.view(torch.int32) if part == "weight" else one for one in each])
            stored[f"model.layers.0.mlp.switch_mlp.{matrix}.{part}"] = (
                words.view(torch.uint32) if part == "weight" else words
            )
    save_file(stored, str(file), {"format": "mlx"})
    assert_equal_models(tmp_path / "packed", dense_copy(mixture, tmp_path / "dense", truth))


def test_mxfp4_experts_of_gpt_oss(tmp_path):
    """Blocks and exponents become experts whose inputs come first; attention is left as it is."""
    from transformers import GptOssConfig, GptOssForCausalLM

    base = make_toy(tmp_path / "base", layers=1)
    torch.manual_seed(0)
    fields = {
        "vocab_size": 258, "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2,
        "num_key_value_heads": 1, "head_dim": 32, "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 64,
        "bos_token_id": 256, "eos_token_id": 257, "pad_token_id": 257,
    }  # fmt: skip
    GptOssForCausalLM(GptOssConfig(**fields)).save_pretrained(base)
    truth, stored = {}, {}
    for name, value in load_file(str(base / "model.safetensors")).items():
        if not name.endswith(("experts.gate_up_proj", "experts.down_proj")):
            truth[name] = stored[name] = value
            continue
        weight = value.transpose(1, 2)  # outputs first, as the file has it
        cells = weight.reshape(*weight.shape[:-1], -1, 32)
        power = torch.ceil(torch.log2(cells.abs().amax(-1) / 6))
        codes = nearest_fp4(cells / torch.exp2(power)[..., None])
        stored[f"{name}_blocks"], stored[f"{name}_scales"] = nibbles(codes), (power + 127).to(torch.uint8)
        values = torch.from_numpy(quantized.FP4)[codes] * torch.exp2(power)[..., None]
        truth[name] = values.reshape(weight.shape).transpose(1, 2)
    packed = shutil.copytree(base, tmp_path / "packed")
    save_file({n: v.contiguous() for n, v in stored.items()}, str(packed / "model.safetensors"), {"format": "pt"})
    edit_json(packed / "config.json", quantization_config={"quant_method": "mxfp4"})
    assert_equal_models(packed, dense_copy(base, tmp_path / "dense", truth))
