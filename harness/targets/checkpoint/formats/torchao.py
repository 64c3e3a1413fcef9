"""torchao: tensor subclasses taken apart, as its safetensors support writes them.

A tensor ``LAYER.weight`` lies as ``LAYER._weight_qdata``, ``LAYER._weight_scale`` and the like; its class is named in the
metadata of the file. With codes q, scale s and zero point z per block:

``Int8Tensor``, ``IntxUnpackedToInt8Tensor``   (q - z) * s, q int8
``Float8Tensor``                               q * s
``Int4Tensor``                                 q * s + z, q two to a byte (low nibble first, signed), s and z [I/g, O]
``NVFP4Tensor``, ``MXTensor``                  q * s (* per_tensor_scale), q two e2m1 codes to a byte or float8

``act_pre_scale`` multiplies the inputs of a layer and is folded into its weights. Layouts made for one kernel
(``Int4TilePackedTo4dTensor``, swizzled scales) are refused. Checked against the code of torchao 0.18.0.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from harness.errors import BrokenCheckpoint
from harness.targets.checkpoint.formats.model import Format, Get, Part, Settings, Stored, integer_claim, number, table

if TYPE_CHECKING:
    from torch import Tensor

_READ = {"Int8Tensor", "IntxUnpackedToInt8Tensor", "Float8Tensor", "Int4Tensor", "NVFP4Tensor", "MXTensor"}
_MADE_FROM = ("qdata", "scale", "zero_point", "per_tensor_scale", "act_pre_scale")


def plan(stored: Stored, _: Settings) -> list[Part]:
    """A part for every tensor subclass."""
    parts = []
    for name in stored.entries:
        if name.endswith("_qdata"):
            layer, _dot, rest = name.rpartition("._")
            parts.append(_part(stored, layer, rest.removesuffix("_qdata")))
    return parts


def _part(stored: Stored, layer: str, tensor: str) -> Part:
    whole = f"{layer}.{tensor}"
    try:
        facts: dict[str, Any] = json.loads(stored.metadata.get(whole, "{}"))
    except ValueError:
        facts = {}
    kind = str(facts.get("_type", ""))
    inner = table(facts.get("_data"))
    if kind not in _READ or inner.get("is_swizzled_scales"):
        what = f"torchao's {kind}" if kind else "a torchao tensor whose class the file does not name"
        raise BrokenCheckpoint(
            f"{whole} is {what}{' with swizzled scales' if inner.get('is_swizzled_scales') else ''}, which is not read here",
            where=stored.where,
            fix="serve it with an engine that reads it and give the address, or give an unpacked copy",
        )
    names = {part: f"{layer}._{tensor}_{part}" for part in _MADE_FROM if f"{layer}._{tensor}_{part}" in stored.entries}
    if "qdata" not in names or "scale" not in names:
        raise BrokenCheckpoint(f"the packed tensor {whole} lacks its codes or its scale", where=stored.where)

    def make(get: Get) -> Tensor:
        return dequantize(kind, {part: get(name) for part, name in names.items()})

    return Part(whole, tuple(names.values()), make)


def dequantize(kind: str, part: dict[str, Tensor]) -> Tensor:
    """The dense tensor in fp32."""
    import torch  # noqa: PLC0415

    from harness.targets.checkpoint.formats.codes import fp4_values, scale_values, spread  # noqa: PLC0415

    codes, scale, zero = part["qdata"], part["scale"], part.get("zero_point")
    if kind == "Int4Tensor":
        raw = codes.view(torch.uint8)
        pair = torch.stack([raw & 15, raw >> 4], -1).flatten(-2).to(torch.int64)
        values = ((pair + 8) % 16 - 8).float()
        wide = [spread(one.float().transpose(-1, -2), values.shape) for one in (scale, zero) if one is not None]
        dense = values * wide[0] + (wide[1] if len(wide) > 1 else 0)
    elif kind in {"NVFP4Tensor", "MXTensor"}:
        values = fp4_values(codes) if codes.element_size() == 1 and not codes.dtype.is_floating_point else codes.float()
        dense = values * spread(scale_values(scale), values.shape)
        if "per_tensor_scale" in part:
            factor = part["per_tensor_scale"].float()
            dense = dense * (factor.reshape(()) if factor.numel() == 1 else factor.reshape(-1, 1, 1))
    else:
        values = codes.float()
        if zero is not None and zero.numel():
            values = values - spread(zero.float(), values.shape)
        dense = values * spread(scale.float(), values.shape)
    ahead = part.get("act_pre_scale")
    return dense * ahead.float() if ahead is not None else dense


def _config(settings: Settings) -> tuple[str, Settings]:
    kind = table(settings.get("quant_type"))
    only = table(kind.get("default")) if set(kind) == {"default"} else {}
    return str(
        only.get("_type", settings.get("quant_type") if isinstance(settings.get("quant_type"), str) else "")
    ), table(only.get("_data"))


def claim(settings: Settings) -> str:
    """From the name of the configuration; configurations per module have no name."""
    kind, data = _config(settings)
    name = kind.lower().replace("_", "")
    if name.startswith(("int4weightonly", "int8dynamicactivationint4")):
        return integer_claim(4, number(data.get("group_size"), 128))
    if name.startswith(("int8weightonly", "int8dynamicactivationint8")):
        return integer_claim(8, number(data.get("group_size"), -1))
    if name.startswith("float8"):
        return "fp8"
    if "nvfp4" in name:
        return "nvfp4"
    return ""


def activations(settings: Settings) -> str:
    """What the name of the configuration says of activations."""
    kind, _ = _config(settings)
    return f"dynamic ({kind})" if "dynamicactivation" in kind.lower().replace("_", "") else ""


FORMAT = Format("torchao", plan, claim, activations)
