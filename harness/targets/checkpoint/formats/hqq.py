"""HQQ: whole-number codes with a float zero point per group, packed by halves of the matrix.

``W_q`` uint8   the codes as a matrix of groups (axis 1: a group is a row; axis 0: a column), rows packed ``8 / nbits`` to
                a byte: the first part of the rows in the highest bits
``scale``, ``zero`` one per group; ``shape``, ``nbits`` as small tensors

    weight = ((code - zero) * scale) in the shape of the layer
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import BrokenCheckpoint
from harness.targets.checkpoint.formats.model import Format, Get, Part, Settings, Stored, integer_claim, number, table

if TYPE_CHECKING:
    from torch import Tensor

_BITS = {8: 1, 4: 2, 2: 4, 1: 8}  # codes in a byte
#: What a layer stores beside its codes; settings that its arithmetic does not need.
_FACTS = (
    "shape", "nbits", "group_size", "axis", "packing", "view_as_float", "unpack_view_dtype", "quant_scale", "quant_zero",
    "compute_dtype", "offload_meta", "encoded_state_dict", "stores_quant_config", "channel_wise", "optimize", "round_zero",
)  # fmt: skip


def plan(stored: Stored, settings: Settings) -> list[Part]:
    """A part for every packed layer."""
    weights = table(table(settings.get("quant_config")).get("weight_quant_params")) or table(
        settings.get("quant_config")
    )
    return [_part(stored, layer, number(weights.get("nbits"), 4)) for layer in stored.layers(".W_q")]


def _part(stored: Stored, layer: str, declared: int) -> Part:
    needed = {part: f"{layer}.{part}" for part in ("W_q", "scale", "zero", "shape")}
    if any(name not in stored.entries for name in needed.values()) or stored.entries[needed["W_q"]].dtype != "U8":
        raise BrokenCheckpoint(
            f"the packed layer {layer} is in no layout of HQQ that is read here",
            where=stored.where,
            fix="serve it with an engine that reads it and give the address, or give an unpacked copy",
        )
    others = tuple(f"{layer}.{fact}" for fact in _FACTS if f"{layer}.{fact}" in stored.entries)

    def make(get: Get) -> Tensor:
        nbits = f"{layer}.nbits"
        bits = int(get(nbits).item()) if nbits in stored.entries else declared
        if bits not in _BITS:
            raise BrokenCheckpoint(
                f"HQQ with {bits} bits is not read here", where=stored.where, fix="1, 2, 4 and 8 are"
            )
        return dequantize(*(get(needed[part]) for part in ("W_q", "scale", "zero", "shape")), bits=bits)

    return Part(f"{layer}.weight", tuple(dict.fromkeys((*needed.values(), *others))), make)


def dequantize(packed: Tensor, scale: Tensor, zero: Tensor, shape: Tensor, *, bits: int) -> Tensor:
    """The dense weight in fp32."""
    import torch  # noqa: PLC0415

    per = _BITS[bits]
    mask = (1 << bits) - 1
    codes = torch.cat([(packed >> (bits * (per - 1 - k))) & mask for k in range(per)])
    return ((codes.float() - zero.float()) * scale.float()).reshape([int(size) for size in shape])


def claim(settings: Settings) -> str:
    """``int4g64`` and its like."""
    weights = table(table(settings.get("quant_config")).get("weight_quant_params")) or table(
        settings.get("quant_config")
    )
    bits = number(weights.get("nbits"), 0)
    return integer_claim(bits, number(weights.get("group_size"), 64)) if 2 <= bits <= 8 else ""


FORMAT = Format("HQQ", plan, claim)
