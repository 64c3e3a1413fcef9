"""NVIDIA ModelOpt: FP8, NVFP4, MXFP4/8, int8 and packed int4, declared in ``hf_quant_config.json`` or ``config.json``.

FP8     ``weight`` float8 [O, I], ``weight_scale`` per tensor, row or block:     weight = code * scale
NVFP4   ``weight`` uint8 [O, I/2] of two e2m1 codes, ``weight_scale`` float8 [O, I/16], ``weight_scale_2`` one float:
                                                                   weight = code * weight_scale * weight_scale_2
MXFP4   ``weight`` uint8 [O, I/2], ``weight_scale`` uint8 [O, I/32] (exponents of two)
int8    ``weight`` int8 [O, I], ``weight_scale`` [O]
int4    ``weight`` uint8 [O/2, I]: rows 2k and 2k+1 in the low and high nibble, two's complement; ``weight_scale`` [O, I/g]

``pre_quant_scale`` [I] multiplies the inputs of a layer (AWQ, SmoothQuant); it is folded into the weights, which is the
same product. ``input_scale`` rounds activations and is not applied. Checked against the code of ModelOpt 0.47.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import BrokenCheckpoint
from harness.targets.checkpoint.formats.fp8 import CODES, block_size
from harness.targets.checkpoint.formats.model import Format, Get, Part, Settings, Stored, integer_claim, number, table

if TYPE_CHECKING:
    from torch import Tensor

_NVFP4_GROUP, _MXFP4_GROUP = 16, 32


def plan(stored: Stored, settings: Settings) -> list[Part]:
    """A part for every tensor of codes that has a scale."""
    if stored.layers(".svdquant_lora_a") or stored.layers("_lora_a"):
        raise BrokenCheckpoint(
            "this ModelOpt checkpoint adds low-rank parts to its layers (SVDQuant), which are not read here",
            where=stored.where,
            fix="serve it with an engine that reads it and give the address, or give an unpacked copy",
        )
    parts = []
    for name, entry in stored.entries.items():
        scale = stored.first(f"{name}_scale", f"{name}_scale_inv")
        if scale and (entry.dtype in CODES or entry.dtype in {"U8", "I8"}):
            parts.append(_part(stored, settings, name, scale))
    return parts


def _part(stored: Stored, settings: Settings, name: str, scale: str) -> Part:
    codes, grid = stored.entries[name], stored.entries[scale]
    second = stored.first(f"{name}_scale_2")
    ahead = stored.first(f"{name.removesuffix('.weight')}.pre_quant_scale") if name.endswith(".weight") else ""
    sources = tuple(one for one in (name, scale, second, ahead) if one)
    blocks: tuple[int, ...] = ()
    if codes.dtype in CODES:
        kind, blocks = "fp8", block_size(settings)
    elif codes.dtype == "I8":
        kind = "int8"
    elif codes.shape[-2] * 2 == _rows(grid.shape) and codes.shape[-2:-1] and not second and grid.dtype not in CODES:
        kind = "int4" if grid.dtype != "U8" else "fp4"
    else:
        kind = "fp4"
    if kind == "fp4" and (len(grid.shape) != len(codes.shape) or grid.shape[-1] * 32 not in _sizes(codes.shape[-1])):
        raise BrokenCheckpoint(
            f"{name} is in no layout of ModelOpt that is known here (codes {codes.shape}, scales {grid.shape})",
            where=stored.where,
            fix="serve it with an engine that reads it and give the address, or give an unpacked copy",
        )

    def make(get: Get) -> Tensor:
        dense = dequantize(kind, get(name), get(scale), get(second) if second else None, blocks)
        return dense * get(ahead).float() if ahead else dense

    return Part(name, sources, make)


def _rows(shape: tuple[int, ...]) -> int:
    return shape[-2] if len(shape) > 1 else -1


def _sizes(packed: int) -> set[int]:
    """32 times the number of scales in a row of ``packed`` bytes, for groups of 16 and of 32."""
    return {packed * 2 * 32 // _NVFP4_GROUP, packed * 2 * 32 // _MXFP4_GROUP}


def dequantize(kind: str, codes: Tensor, scale: Tensor, second: Tensor | None, blocks: tuple[int, ...]) -> Tensor:
    """The dense weight in fp32."""
    import torch  # noqa: PLC0415

    from harness.targets.checkpoint.formats.codes import fp4_values, scale_values, spread  # noqa: PLC0415
    from harness.targets.checkpoint.formats.fp8 import fitted  # noqa: PLC0415

    if kind == "fp8":
        return codes.float() * fitted(scale_values(scale), codes, blocks, spread)
    if kind == "int8":
        return codes.float() * spread(scale.float(), codes.shape)
    if kind == "int4":
        pair = torch.stack([codes & 15, codes >> 4], -2).flatten(-3, -2).to(torch.int64)  # rows 2k, 2k+1
        signed = ((pair + 8) % 16 - 8).float()
        return signed * spread(scale.float(), signed.shape)
    values = fp4_values(codes)
    grid = scale_values(scale)
    if second is not None:
        factor = second.float()
        grid = grid * (factor.reshape(-1, *([1] * (grid.ndim - 1))) if factor.numel() > 1 else factor.reshape(()))
    return values * spread(grid, values.shape)


def _algorithm(settings: Settings) -> str:
    inner = table(settings.get("quantization"))
    return str(settings.get("quant_algo", inner.get("quant_algo", "")) or "").upper()


def claim(settings: Settings) -> str:
    """From the name of the algorithm; mixed precision has no name."""
    algorithm = _algorithm(settings)
    inner = settings | table(settings.get("quantization"))
    if algorithm.startswith(("FP8", "W4A8_NVFP4")) and "NVFP4" not in algorithm:
        return "fp8"
    if "MXFP8" in algorithm:
        return "mxfp8"
    if "NVFP4" in algorithm:
        return "nvfp4"
    if "MXFP4" in algorithm:
        return "mxfp4"
    if algorithm.startswith(("W8A8", "INT8", "W8A16")):
        return "int8-channel"
    if algorithm.startswith(("W4A16", "W4A8", "INT4")):
        return integer_claim(4, number(inner.get("group_size"), 128))
    return ""


def activations(settings: Settings) -> str:
    """What is said of rounded activations."""
    algorithm = _algorithm(settings)
    if "A16" in algorithm or algorithm.endswith("_WO") or algorithm in {"", "MIXED_PRECISION"}:
        groups = table(settings.get("config_groups"))
        return "as config_groups says" if any(table(one).get("input_activations") for one in groups.values()) else ""
    kind = "4-bit floats" if algorithm.startswith("NVFP4") else "8 bits"
    return f"{kind} ({algorithm})"


FORMAT = Format("ModelOpt", plan, claim, activations)
