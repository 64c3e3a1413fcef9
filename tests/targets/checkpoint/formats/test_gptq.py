"""The GPTQ reader against checkpoints packed bit by bit, independently of the reader's arithmetic."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from harness.errors import BrokenCheckpoint
from harness.targets.checkpoint.formats.codes import unpack_stream
from harness.targets.checkpoint.formats.gptq import dequantize
from harness.targets.checkpoint.loading import load_model
from harness.targets.spec import parse_spec
from tests.support.toy import edit_json

PARTS = ("qweight", "qzeros", "scales", "g_idx", "dense")


def pack(codes, bits):
    """Codes along axis 0 into int32 words, one bit at a time."""
    count, width = codes.shape
    words = np.zeros((count * bits // 32, width), dtype=np.uint32)
    for i in range(count):
        for b in range(bits):
            word, bit = divmod(i * bits + b, 32)
            words[word] |= ((codes[i] >> b) & 1).astype(np.uint32) << np.uint32(bit)
    return torch.from_numpy(words.view(np.int32))


def quantize(weight, bits, group, symmetric, act_order, version):
    """Round to nearest into GPTQ's tensors; returns them with the dense weight that they stand for."""
    outputs, inputs = weight.shape
    order = np.random.default_rng(0).permutation(inputs) if act_order else np.arange(inputs)
    index = np.empty(inputs, dtype=np.int64)
    index[order] = np.arange(inputs) // group
    top = (1 << bits) - 1
    groups = -(-inputs // group)
    scales, zeros = np.zeros((groups, outputs), np.float16), np.zeros((groups, outputs), np.int64)
    codes, dense = np.zeros((inputs, outputs), np.int64), np.zeros((outputs, inputs), np.float32)
    for g in range(groups):
        part = weight[:, index == g]
        low, high = np.minimum(part.min(1), 0), np.maximum(part.max(1), 0)
        if symmetric:
            high = np.maximum(-low, high)
            low = -high
        scales[g] = ((high - low) / top).astype(np.float16)
        zeros[g] = (1 << (bits - 1)) if symmetric else np.clip(np.round(-low / scales[g]), 0, top)
        code = np.clip(np.round(part / scales[g][:, None].astype(np.float32)) + zeros[g][:, None], 0, top)
        codes[index == g] = code.T.astype(np.int64)
        dense[:, index == g] = scales[g][:, None].astype(np.float32) * (code - zeros[g][:, None])
    stored = zeros if version == 2 else (zeros - 1) % (1 << bits)
    tensors = {
        "qweight": pack(codes, bits),
        "qzeros": pack(stored.T, bits).t().contiguous(),
        "scales": torch.from_numpy(scales),
        "g_idx": torch.from_numpy(index.astype(np.int32)),
    }
    return tensors, torch.from_numpy(dense)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize(("symmetric", "act_order", "version"), [(True, False, 1), (False, True, 1), (False, False, 2)])
def test_every_layout_unpacks_to_the_weights_that_were_packed(bits, symmetric, act_order, version):
    """2, 3, 4 and 8 bits, symmetric or not, with and without act-order, zeros of both formats: equal to the last bit."""
    weight = np.random.default_rng(1).normal(size=(64, 96)).astype(np.float32)
    tensors, dense = quantize(weight, bits, 32, symmetric, act_order, version)
    found = dequantize(
        tensors["qweight"], tensors["qzeros"], tensors["scales"], tensors["g_idx"], bits, 1 if version == 1 else 0
    )
    assert torch.equal(found, dense)


def recorded():
    """Layouts that gptqmodel wrote (``make bench-gptq``): packed tensors, and what its own kernel makes of them."""
    tensors = load_file(str(Path(__file__).parents[3] / "data" / "gptq.safetensors"))
    return {
        name: {part: tensors[f"{name}.{part}"] for part in PARTS} for name in {k.rpartition(".")[0] for k in tensors}
    }


@pytest.mark.parametrize("name", sorted(recorded()))
def test_what_gptqmodel_wrote_is_read_as_gptqmodel_reads_it(name):
    """Real files of 2, 3, 4 and 8 bits: equal to gptqmodel's own dequantisation within one unit of bf16's last place."""
    *packed, dense = recorded()[name].values()
    found = dequantize(*packed, int(name[0]), 0 if name.endswith("_v2") else 1)
    expected = dense.float()
    last_place = 2.0 ** (torch.floor(torch.log2(expected.abs().clamp_min(1e-30))) - 7)
    assert torch.equal(found == 0, expected == 0)
    assert (expected != 0).any()
    assert ((found - expected).abs() <= last_place).all()


def test_three_bit_codes_cross_word_borders():
    """32 codes fill exactly three words, and the two that straddle are whole."""
    codes = np.arange(32)[:, None] % 8
    assert unpack_stream(pack(codes, 3).t(), 3).flatten().tolist() == codes[:, 0].tolist()


def test_a_folder_in_gptq_format_loads_as_a_dense_model(toy, tmp_path):
    """A toy checkpoint packed to 4 bits loads through ``gptq:PATH`` with the weights that were packed."""
    folder = shutil.copytree(toy, tmp_path / "gptq")
    with safe_open(str(toy / "model.safetensors"), framework="pt") as stored:
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    expected = {}
    for name in [n for n in tensors if "_proj" in n]:
        packed, dense = quantize(tensors.pop(name).numpy(), 4, 32, False, False, 1)
        expected[name] = dense
        tensors |= {f"{name.removesuffix('.weight')}.{part}": value.contiguous() for part, value in packed.items()}
    save_file(tensors, str(folder / "model.safetensors"), {"format": "pt"})
    (folder / "quantize_config.json").write_text(json.dumps({"bits": 4, "group_size": 32, "desc_act": False}))
    model, _ = load_model(parse_spec(f"gptq:{folder}"))
    state = model.state_dict()
    for name, dense in expected.items():
        assert torch.equal(state[name], dense), name
    assert len(expected) == 14


def test_a_folder_without_bits_is_refused(toy):
    """gptq:PATH on an ordinary checkpoint says what it misses."""
    with pytest.raises(BrokenCheckpoint, match="not a GPTQ checkpoint"):
        load_model(parse_spec(f"gptq:{toy}"))


def test_a_damaged_layer_is_named(toy, tmp_path):
    """A packed layer without its scales is broken, not guessed."""
    folder = shutil.copytree(toy, tmp_path / "cut")
    edit_json(folder / "config.json", quantization_config={"bits": 4, "quant_method": "gptq"})
    save_file({"a.qweight": torch.zeros(4, 4, dtype=torch.int32)}, str(folder / "model.safetensors"))
    with pytest.raises(BrokenCheckpoint, match="lacks"):
        load_model(parse_spec(f"gptq:{folder}"))
