"""Quantized checkpoints of every format, packed bit by bit, beside the dense weights that they stand for.

A recipe turns a dense weight into the tensors that a format stores and into the values that those stand for. The values
come from the rounding, never from unpacking, and no code of the product is used.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.support.toy import edit_json

Made = tuple[dict[str, Tensor], Tensor]  # stored tensors by suffix, and the weight that they stand for
FP4 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6], dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a format is made: one weight at a time, with settings in config.json or in a file of their own.

    ``claim`` is what the product should read as declared.
    """

    make: Callable[[Tensor], Made]
    settings: dict[str, object]
    claim: str = ""
    file: str = "config.json"
    key: str = "quantization_config"
    metadata: Callable[[str], dict[str, str]] | None = None
    changes: dict[str, object] = field(default_factory=dict)


def write(
    base: Path, folder: Path, recipe: Recipe, chosen: Callable[[str], bool] = lambda name: "_proj" in name
) -> dict[str, Tensor]:
    """Write a folder in a recipe's format; returns every tensor as it should be read."""
    shutil.copytree(base, folder)
    stored: dict[str, Tensor] = {}
    truth: dict[str, Tensor] = {}
    named: dict[str, str] = {}
    for name, value in load_file(str(base / "model.safetensors")).items():
        if not chosen(name):
            stored[name] = truth[name] = value
            continue
        layer = name.removesuffix(".weight")
        tensors, truth[name] = recipe.make(value.float())
        stored |= {f"{layer}{suffix}": tensor.contiguous() for suffix, tensor in tensors.items()}
        named |= recipe.metadata(name) if recipe.metadata else {}
    if named:
        named["tensor_names"] = json.dumps(list(named))
    save_file(stored, str(folder / "model.safetensors"), {"format": "pt", **named})
    if recipe.file == "config.json":
        edit_json(folder / "config.json", **{recipe.key: recipe.settings})
    else:
        (folder / recipe.file).write_text(json.dumps(recipe.settings))
    return truth


def stream(codes: Tensor, bits: int) -> Tensor:
    """Codes along the last axis as a little-endian bit stream in 32-bit words, bit by bit."""
    raw = codes.numpy().astype(np.uint64)
    flags = ((raw[..., None] >> np.arange(bits, dtype=np.uint64)) & 1).astype(np.uint8).reshape(*raw.shape[:-1], -1)
    short = -flags.shape[-1] % 32
    flags = np.concatenate([flags, np.zeros((*flags.shape[:-1], short), np.uint8)], -1)
    packed = np.packbits(flags, axis=-1, bitorder="little")
    return torch.from_numpy(np.ascontiguousarray(packed).view("<u4").astype(np.uint32).view(np.int32))


def padded(codes: Tensor, bits: int) -> Tensor:
    """Codes in 32-bit words so that none straddles two."""
    per = 32 // bits
    short = -codes.shape[-1] % per
    raw = np.concatenate([codes.numpy(), np.zeros((*codes.shape[:-1], short), np.int64)], -1).astype(np.uint64)
    raw = raw.reshape(*raw.shape[:-1], -1, per)
    words = (raw << (np.arange(per, dtype=np.uint64) * np.uint64(bits))).sum(-1).astype(np.uint32)
    return torch.from_numpy(words.view(np.int32))


def rounded(
    weight: Tensor, bits: int, group: int, *, symmetric: bool, scale: torch.dtype = torch.float16
) -> tuple[Tensor, ...]:
    """Codes and zero points from zero up, scales per group, and the dense weight."""
    outputs, inputs = weight.shape
    size = inputs if group < 1 else group
    parts = weight.reshape(outputs, inputs // size, size)
    top = (1 << bits) - 1
    if symmetric:
        step = parts.abs().amax(-1) * 2 / top
        zero = torch.full_like(step, float(1 << (bits - 1)))
    else:
        low, high = parts.amin(-1).clamp(max=0), parts.amax(-1).clamp(min=0)
        step = (high - low) / top
        zero = (-low / step).round().clamp(0, top)
    step = step.to(scale).float()
    codes = (parts / step[..., None] + zero[..., None]).round().clamp(0, top)
    dense = ((codes - zero[..., None]) * step[..., None]).reshape(outputs, inputs)
    return codes.reshape(outputs, inputs).long(), zero.long(), step, dense


def gptq(
    bits: int = 4, group: int = 32, *, symmetric: bool = True, act_order: bool = False, lacking: int = 1
) -> Callable[[Tensor], Made]:
    """GPTQ's packing; ``lacking`` is what stored zero points are short of."""

    def make(weight: Tensor) -> Made:
        inputs = weight.shape[1]
        order = (
            torch.randperm(inputs, generator=torch.Generator().manual_seed(1)) if act_order else torch.arange(inputs)
        )
        codes, zero, step, dense = rounded(weight[:, order], bits, group, symmetric=symmetric)
        back = torch.argsort(order)
        tensors = {
            ".qweight": stream(codes[:, back], bits).t(),
            ".qzeros": stream((zero.t() - lacking) % (1 << bits), bits),
            ".scales": step.t().half(),
            ".g_idx": (torch.arange(inputs) // (inputs if group < 1 else group))[back].int(),
        }
        return tensors, dense[:, back]

    return make


def awq(layout: str = "gemm", group: int = 32) -> Callable[[Tensor], Made]:
    """AutoAWQ's packing."""

    def gemm(codes: Tensor) -> Tensor:
        return padded(codes.reshape(codes.shape[0], -1, 8)[..., [0, 2, 4, 6, 1, 3, 5, 7]].flatten(-2), 4)

    def make(weight: Tensor) -> Made:
        codes, zero, step, dense = rounded(weight, 4, group, symmetric=False)
        if layout == "gemm":
            return {".qweight": gemm(codes.t()), ".qzeros": gemm(zero.t()), ".scales": step.t().half()}, dense
        zeros = padded(zero, 4)
        scales = torch.zeros(weight.shape[0], zeros.shape[1] * 8)
        scales[:, : step.shape[1]] = step
        return {".qweight": padded(codes, 4), ".qzeros": zeros, ".scales": scales.half()}, dense

    return make


def blocks(weight: Tensor, size: tuple[int, int], top: float, *, power: bool = False) -> tuple[Tensor, Tensor]:
    """One scale per block, and the scales spread over the weights; blocks at the edges are cut short."""
    rows, columns = weight.shape
    size = min(size[0], rows), min(size[1], columns)
    wide = torch.nn.functional.pad(weight, (0, -columns % size[1], 0, -rows % size[0]))
    cells = wide.reshape(wide.shape[0] // size[0], size[0], wide.shape[1] // size[1], size[1])
    grid = cells.abs().amax((1, 3)) / top
    if power:
        grid = torch.exp2(torch.ceil(torch.log2(grid)))
    rows_of, columns_of = torch.arange(rows) // size[0], torch.arange(columns) // size[1]
    return grid, grid[rows_of][:, columns_of]


def fp8(
    suffix: str, size: tuple[int, int] | None, *, exponents: bool = False, shape: str = "grid", more: bool = True
) -> Callable[[Tensor], Made]:
    """e4m3 codes; without a size one scale for the whole weight."""

    def make(weight: Tensor) -> Made:
        grid, wide = blocks(weight, size or (1 << 20, 1 << 20), 448.0, power=exponents)
        codes = (weight / wide).to(torch.float8_e4m3fn)
        stored = (grid.log2() + 127).to(torch.uint8) if exponents else grid
        stored = stored.reshape(()) if not size else stored.flatten() if shape == "flat" else stored
        tensors = {".weight": codes, suffix: stored}
        if more:
            tensors[".input_scale"] = torch.tensor(0.02)
        return tensors, codes.float() * wide

    return make


def nearest_fp4(values: Tensor) -> Tensor:
    """Codes of the nearest 4-bit floats."""
    return torch.from_numpy(np.abs(values.numpy()[..., None] - FP4).argmin(-1))


def nibbles(codes: Tensor) -> Tensor:
    """Two codes to a byte, the first in the low half."""
    return (codes[..., 0::2] | (codes[..., 1::2] << 4)).to(torch.uint8)


def fp4(
    names: tuple[str, str, str], group: int, *, divides: bool = False, ahead: bool = False
) -> Callable[[Tensor], Made]:
    """e2m1 codes: NVFP4 with a second scale (groups of 16), MXFP4 with exponents (groups of 32).

    ``ahead`` adds scales of the inputs, as AWQ has them.
    """
    packed, scale, second = names

    def make(weight: Tensor) -> Made:
        factor = torch.exp(torch.linspace(-1, 1, weight.shape[1])) if ahead else torch.ones(weight.shape[1])
        inner = weight / factor
        whole = inner.abs().max() / (6 * 448)
        grid, _ = blocks(inner, (1, group), 6.0)
        if second:
            step = (grid / whole).to(torch.float8_e4m3fn)
            wide = (step.float() * whole).repeat_interleave(group, 1)
            extra = {second: (1 / whole if divides else whole).reshape(1)}
            if divides:
                wide = (step.float() / extra[second]).repeat_interleave(group, 1)
        else:
            power = torch.ceil(torch.log2(grid))
            step, extra = (power + 127).to(torch.uint8), {}
            wide = torch.exp2(power).repeat_interleave(group, 1)
        codes = nearest_fp4(inner / wide)
        tensors = {packed: nibbles(codes), scale: step, **extra}
        if ahead:
            tensors[".pre_quant_scale"] = factor
        return tensors, torch.from_numpy(FP4)[codes] * wide * factor

    return make


def ct_integers(
    bits: int, group: int, *, symmetric: bool = True, dense: bool = True, act_order: bool = False
) -> Callable[[Tensor], Made]:
    """compressed-tensors' packed integers."""
    pack = stream if dense else padded

    def make(weight: Tensor) -> Made:
        inputs = weight.shape[1]
        order = (
            torch.randperm(inputs, generator=torch.Generator().manual_seed(2)) if act_order else torch.arange(inputs)
        )
        codes, zero, step, values = rounded(weight[:, order], bits, group, symmetric=symmetric, scale=torch.float32)
        back = torch.argsort(order)
        tensors = {
            ".weight_packed": pack(codes[:, back], bits),
            ".weight_scale": step,
            ".weight_shape": torch.tensor(weight.shape),
        }
        if not symmetric:
            tensors[".weight_zero_point"] = pack(zero.t(), bits).t()
        if act_order:
            tensors[".weight_g_idx"] = (torch.arange(inputs) // group)[back].int()
        return tensors, values[:, back]

    return make


def int8_rows(weight: Tensor) -> Made:
    """Signed bytes with one scale per row, as compressed-tensors, ModelOpt and Quark lay them out."""
    step = weight.abs().amax(1, keepdim=True) / 127
    codes = (weight / step).round().clamp(-128, 127)
    return {".weight": codes.to(torch.int8), ".weight_scale": step}, codes * step


def modelopt_int4(weight: Tensor, group: int = 32) -> Made:
    """Two rows to a byte, two's complement."""
    grid, wide = blocks(weight, (1, group), 7.0)
    codes = (weight / wide).round().clamp(-8, 7).long()
    packed = ((codes[0::2] & 15) | ((codes[1::2] & 15) << 4)).to(torch.uint8)
    return {".weight": packed, ".weight_scale": grid}, codes * wide


def mlx(bits: int, group: int = 32) -> Callable[[Tensor], Made]:
    """MLX's affine codes."""

    def make(weight: Tensor) -> Made:
        parts = weight.reshape(weight.shape[0], -1, group)
        low, top = parts.amin(-1), (1 << bits) - 1
        step = ((parts.amax(-1) - low) / top).half().float()
        low = low.half().float()
        codes = ((parts - low[..., None]) / step[..., None]).round().clamp(0, top)
        packed = stream(codes.reshape(weight.shape).long(), bits).numpy().view(np.uint32)
        dense = (codes * step[..., None] + low[..., None]).reshape(weight.shape)
        return {".weight": torch.from_numpy(packed), ".scales": step.half(), ".biases": low.half()}, dense

    return make


def torchao(kind: str) -> Callable[[Tensor], Made]:
    """The parts of torchao's tensor classes."""

    def make(weight: Tensor) -> Made:
        if kind == "Int8Tensor":
            tensors, dense = int8_rows(weight)
            return {"._weight_qdata": tensors[".weight"], "._weight_scale": tensors[".weight_scale"]}, dense
        if kind == "Float8Tensor":
            tensors, dense = fp8(".weight_scale", (1, 1 << 20), more=False)(weight)
            return {"._weight_qdata": tensors[".weight"], "._weight_scale": tensors[".weight_scale"]}, dense
        codes, zero, step, dense = rounded(weight, 4, 32, symmetric=False, scale=torch.float32)
        if kind == "IntxUnpackedToInt8Tensor":
            parts = {"qdata": (codes - 8).to(torch.int8), "scale": step, "zero_point": (zero - 8).to(torch.int8)}
        else:  # Int4Tensor: a code from -8 up, and the value of code 0
            offset = (8 - zero) * step
            parts = {"qdata": nibbles((codes - 8) & 15).view(torch.int8), "scale": step.t(), "zero_point": offset.t()}
        return {f"._weight_{part}": tensor for part, tensor in parts.items()}, dense

    return make


def torchao_metadata(kind: str) -> Callable[[str], dict[str, str]]:
    """What the file says of one tensor."""
    return lambda name: {name: json.dumps({"_type": kind, "_data": {}, "_tensor_data_names": ["qdata", "scale"]})}


def hqq(bits: int, group: int = 32) -> Callable[[Tensor], Made]:
    """HQQ with a group in a row: halves of the rows share bytes."""
    per = 8 // bits

    def make(weight: Tensor) -> Made:
        parts = weight.reshape(-1, group)
        low, top = parts.amin(1, keepdim=True), (1 << bits) - 1
        step = (parts.amax(1, keepdim=True) - low) / top
        zero = -low / step
        codes = (parts / step + zero).round().clamp(0, top)
        halves = codes.to(torch.uint8).chunk(per)
        packed = sum((half << (bits * (per - 1 - k)) for k, half in enumerate(halves)), torch.zeros_like(halves[0]))
        tensors = {
            ".W_q": packed, ".scale": step, ".zero": zero, ".shape": torch.tensor(weight.shape),
            ".nbits": torch.tensor(bits, dtype=torch.int32), ".axis": torch.tensor(1, dtype=torch.int32),
            ".packing": torch.tensor([ord(letter) for letter in f"{bits}bit_u8"], dtype=torch.uint8),
        }  # fmt: skip
        return tensors, ((codes - zero) * step).reshape(weight.shape)

    return make


def bitnet(*, divides: bool) -> Callable[[Tensor], Made]:
    """Three values, four rows to a byte."""

    def make(weight: Tensor) -> Made:
        scale = weight.abs().mean()
        codes = (weight / scale).round().clamp(-1, 1)
        quarters = (codes + 1).to(torch.uint8).chunk(4)
        packed = quarters[0] | (quarters[1] << 2) | (quarters[2] << 4) | (quarters[3] << 6)
        stored = (1 / scale if divides else scale).reshape(1)
        return {".weight": packed, ".weight_scale": stored}, codes / stored if divides else codes * stored

    return make


def _ct(kind: str, bits: int, **more: object) -> dict[str, object]:
    weights = {"num_bits": bits, "type": kind, "symmetric": True, "dynamic": False, "strategy": "group", **more}
    inputs = more.pop("inputs", None)
    weights.pop("inputs", None)
    group = {"targets": ["Linear"], "weights": weights, "input_activations": inputs, "output_activations": None}
    return {
        "quant_method": "compressed-tensors",
        "format": "x",
        "ignore": ["lm_head"],
        "config_groups": {"group_0": group},
    }


def _gptq(bits: int = 4, **more: object) -> dict[str, object]:
    return {"quant_method": "gptq", "bits": bits, "group_size": 32, "desc_act": False, "sym": True, **more}


def _modelopt(algorithm: str, **more: object) -> dict[str, object]:
    return {
        "producer": {"name": "modelopt"},
        "quantization": {"quant_algo": algorithm, "exclude_modules": ["lm_head"], **more},
    }


_BLOCK = {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic", "weight_block_size": [48, 48]}
_ROUND = {"quant_method": "auto-round", "bits": 4, "group_size": 32, "data_type": "int"}
_HF = "hf_quant_config.json"
_NV = (".weight", ".weight_scale", ".weight_scale_2")
_CT4 = (".weight_packed", ".weight_scale", ".weight_global_scale")

RECIPES: dict[str, Recipe] = {
    "GPTQ 4 bits": Recipe(gptq(), _gptq(), "int4g32"),
    "GPTQ 3 bits": Recipe(gptq(3), _gptq(3), "int3g32"),
    "GPTQ 2 bits, act-order": Recipe(gptq(2, act_order=True, symmetric=False), _gptq(2, desc_act=True), "int2g32"),
    "GPTQ 8 bits, one scale per row": Recipe(gptq(8, -1), _gptq(8, group_size=-1), "int8-channel"),
    "GPTQ v2, asymmetric": Recipe(
        gptq(symmetric=False, lacking=0), _gptq(checkpoint_format="gptq_v2", sym=False), "int4g32"
    ),
    "GPTQ, quantize_config.json": Recipe(
        gptq(symmetric=False), {"bits": 4, "group_size": 32, "desc_act": False}, "int4g32", "quantize_config.json"
    ),
    "AWQ gemm": Recipe(awq(), {"quant_method": "awq", "bits": 4, "group_size": 32, "version": "gemm"}, "int4g32"),
    "AWQ gemv": Recipe(awq("gemv"), {"quant_method": "awq", "bits": 4, "group_size": 32, "version": "gemv"}, "int4g32"),
    "AWQ, quant_config.json": Recipe(
        awq(), {"zero_point": True, "q_group_size": 32, "w_bit": 4, "version": "GEMM"}, "int4g32", "quant_config.json"
    ),
    "AutoRound, GPTQ's packing": Recipe(gptq(), {**_ROUND, "sym": True, "packing_format": "auto_round:auto_gptq"}, "int4g32"),
    "AutoRound, its own packing": Recipe(
        gptq(symmetric=False, lacking=0), {**_ROUND, "sym": False, "packing_format": "auto_round:exllamav2"}, "int4g32"
    ),
    "AutoRound, AWQ's packing": Recipe(awq(), {**_ROUND, "sym": False, "packing_format": "auto_round:auto_awq"}, "int4g32"),
    "FP8 per tensor": Recipe(fp8(".weight_scale", None), {"quant_method": "fp8", "activation_scheme": "static"}, "fp8"),
    "FP8 per block": Recipe(fp8(".weight_scale_inv", (48, 48), more=False), _BLOCK, "fp8"),
    "FP8 per row (fbgemm)": Recipe(
        fp8(".weight_scale", (1, 1 << 20), more=False), {"quant_method": "fbgemm_fp8", "activation_scale_ub": 1200.0}, "fp8"
    ),
    "MXFP8": Recipe(
        fp8(".weight_scale_inv", (1, 32), exponents=True, more=False),
        {"quant_method": "mxfp8", "weight_block_size": [1, 32]}, "mxfp8",
    ),
    "ModelOpt FP8": Recipe(fp8(".weight_scale", None), _modelopt("FP8", kv_cache_quant_algo="FP8"), "fp8", _HF),
    "ModelOpt FP8, config.json": Recipe(
        fp8(".weight_scale", None), {"quant_method": "modelopt", "quant_algo": "FP8", "ignore": ["lm_head"]}, "fp8"
    ),
    "ModelOpt NVFP4": Recipe(fp4(_NV, 16), _modelopt("NVFP4", group_size=16), "nvfp4", _HF),
    "ModelOpt NVFP4 with AWQ": Recipe(fp4(_NV, 16, ahead=True), _modelopt("NVFP4_AWQ", group_size=16), "nvfp4", _HF),
    "ModelOpt MXFP4": Recipe(fp4((".weight", ".weight_scale", ""), 32), _modelopt("MXFP4"), "mxfp4", _HF),
    "ModelOpt int4": Recipe(modelopt_int4, _modelopt("W4A16_AWQ", group_size=32), "int4g32", _HF),
    "compressed-tensors int4": Recipe(ct_integers(4, 32), _ct("int", 4, group_size=32), "int4g32"),
    "compressed-tensors int4, asymmetric": Recipe(
        ct_integers(4, 32, symmetric=False), _ct("int", 4, group_size=32, symmetric=False), "int4g32"
    ),
    "compressed-tensors int3, packed densely": Recipe(ct_integers(3, 32), _ct("int", 3, group_size=32), "int3g32"),
    "compressed-tensors int3, padded words": Recipe(
        ct_integers(3, 32, dense=False), _ct("int", 3, group_size=32), "int3g32"
    ),
    "compressed-tensors int4, act-order": Recipe(
        ct_integers(4, 32, act_order=True), _ct("int", 4, group_size=32, actorder="group"), "int4g32"
    ),
    "compressed-tensors W8A8": Recipe(
        int8_rows, _ct("int", 8, strategy="channel", inputs={"num_bits": 8, "type": "int", "dynamic": True}), "int8-channel"
    ),
    "compressed-tensors FP8 per row": Recipe(
        fp8(".weight_scale", (1, 1 << 20), more=False), _ct("float", 8, strategy="channel"), "fp8"
    ),
    "compressed-tensors FP8 per block": Recipe(
        fp8(".weight_scale", (48, 48), more=False), _ct("float", 8, strategy="block", block_structure=[48, 48]), "fp8"
    ),
    "compressed-tensors NVFP4": Recipe(fp4(_CT4, 16, divides=True), _ct("float", 4, group_size=16), "nvfp4"),
    "compressed-tensors MXFP4": Recipe(fp4((*_CT4[:2], ""), 32), _ct("float", 4, group_size=32), "mxfp4"),
    "Quark FP8": Recipe(
        fp8(".weight_scale", None), {"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "fp8_e4m3"}}}, "fp8"
    ),
    "torchao int8": Recipe(
        torchao("Int8Tensor"), {"quant_method": "torchao", "quant_type": {"default": {"_type": "Int8WeightOnlyConfig"}}},
        "int8-channel", metadata=torchao_metadata("Int8Tensor"),
    ),
    "torchao FP8": Recipe(
        torchao("Float8Tensor"), {"quant_method": "torchao", "quant_type": {"default": {"_type": "Float8WeightOnlyConfig"}}},
        "fp8", metadata=torchao_metadata("Float8Tensor"),
    ),
    "torchao int4": Recipe(
        torchao("Int4Tensor"),
        {"quant_method": "torchao", "quant_type": {"default": {"_type": "Int4WeightOnlyConfig", "_data": {"group_size": 32}}}},
        "int4g32", metadata=torchao_metadata("Int4Tensor"),
    ),
    "torchao intx": Recipe(
        torchao("IntxUnpackedToInt8Tensor"),
        {"quant_method": "torchao", "quant_type": {"default": {"_type": "IntxWeightOnlyConfig"}}},
        "", metadata=torchao_metadata("IntxUnpackedToInt8Tensor"),
    ),
    **{
        f"MLX {bits} bits": Recipe(mlx(bits), {"group_size": 32, "bits": bits}, f"int{bits}g32", key="quantization")
        for bits in (2, 3, 4, 5, 6, 8)
    },
    "HQQ 4 bits": Recipe(
        hqq(4), {"quant_method": "hqq", "quant_config": {"weight_quant_params": {"nbits": 4, "group_size": 32}}}, "int4g32"
    ),
    "HQQ 2 bits": Recipe(
        hqq(2), {"quant_method": "hqq", "quant_config": {"weight_quant_params": {"nbits": 2, "group_size": 32}}}, "int2g32"
    ),
    "BitNet": Recipe(bitnet(divides=False), {"quant_method": "bitnet", "linear_class": "autobitlinear"}),
    "BitNet, older layers": Recipe(bitnet(divides=True), {"quant_method": "bitnet", "linear_class": "bitlinear"}),
}  # fmt: skip
