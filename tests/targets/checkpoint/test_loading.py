"""Checkpoints in other packages' formats: unpacked to dense weights, whatever packages are installed."""

from __future__ import annotations

import shutil
import sys
import tomllib
from pathlib import Path

import pytest
import torch

from harness.errors import MissingExtra
from harness.targets.checkpoint.loading import load, load_model
from harness.targets.spec import parse_spec

SCHEMES = {
    "pack-quantized": {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "group", "group_size": 32},
    "int-quantized": {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "channel"},
    "float-quantized": {"num_bits": 8, "type": "float", "symmetric": True, "strategy": "channel"},
}


def compressed(toy, folder, layout):
    """The toy as the compressed-tensors package writes it; returns one layer's weight before and its scales."""
    from compressed_tensors import ModelCompressor
    from compressed_tensors.quantization import (
        QuantizationArgs,
        QuantizationConfig,
        QuantizationScheme,
        QuantizationStatus,
        apply_quantization_config,
    )
    from transformers import AutoModelForCausalLM

    shutil.copytree(toy, folder)
    model = AutoModelForCausalLM.from_pretrained(toy, dtype=torch.float32)
    scheme = QuantizationScheme(targets=["Linear"], weights=QuantizationArgs(**SCHEMES[layout]))
    config = QuantizationConfig(
        config_groups={"all": scheme}, ignore=["lm_head"], format=layout, quantization_status=QuantizationStatus.FROZEN
    )
    apply_quantization_config(model, config)
    top = {"pack-quantized": 7.5, "int-quantized": 127.5, "float-quantized": 448.0}[layout]
    for module in model.modules():
        if hasattr(module, "weight_scale"):
            groups = module.weight.reshape(module.weight.shape[0], *module.weight_scale.shape[1:], -1)
            module.weight_scale.data = (groups.abs().amax(-1) / top).reshape(module.weight_scale.shape)
    layer = model.model.layers[0].mlp.up_proj
    weight, scales = layer.weight.detach().clone(), layer.weight_scale.detach().clone()
    compressor = ModelCompressor.from_pretrained_model(model)
    compressor.compress_model(model)
    model.save_pretrained(folder)
    compressor.update_config(folder)
    return weight, scales


@pytest.mark.parametrize("layout", SCHEMES)
def test_compressed_tensors_become_the_weights_that_were_packed(toy, tmp_path, layout):
    """Real files of three layouts load as dense weights on their grid, and the model runs."""
    weight, scales = compressed(toy, tmp_path / "packed", layout)
    loaded = load(parse_spec(str(tmp_path / "packed")))
    dense = loaded.model.model.layers[0].mlp.up_proj.weight.float()
    wide = scales.repeat_interleave(dense.shape[1] // scales.shape[1], 1)
    if layout == "float-quantized":
        expected = (weight / wide).to(torch.float8_e4m3fn).float() * wide
    else:
        low, high = {"pack-quantized": (-8, 7), "int-quantized": (-128, 127)}[layout]
        expected = torch.clamp(torch.round(weight / wide), low, high) * wide
    assert torch.allclose(dense, expected, rtol=2**-8, atol=1e-6)
    assert (dense != weight).any()
    assert loaded.head is not None


def test_a_missing_package_names_the_extra_that_brings_it(toy, monkeypatch):
    """bnb:nf4 without bitsandbytes says which extra of this package to install; the extra exists and holds it."""
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(MissingExtra) as missing:
        load_model(parse_spec(f"bnb:nf4:{toy}"))
    assert missing.value.fix == "pip install 'fidelity-harness[bitsandbytes]'"
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    assert any(one.startswith("bitsandbytes") for one in project["project"]["optional-dependencies"]["bitsandbytes"])
