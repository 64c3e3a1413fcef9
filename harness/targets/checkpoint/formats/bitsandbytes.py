"""bitsandbytes: nf4 and fp4 in blocks, and int8 with one scale per row, as transformers saves them.

4 bits  ``weight`` uint8 [O*I/2, 1], the high nibble first; ``weight.quant_map`` the 16 values; ``weight.absmax`` one
        scale per block; ``weight.quant_state.bitsandbytes__nf4`` (or fp4) shape and block size as JSON. With double
        quantization the scales are codes of ``nested_quant_map``, times ``nested_absmax``, plus ``nested_offset``
8 bits  ``weight`` int8 [O, I], ``SCB`` [O]:  weight = code * SCB / 127

LLM.int8() also rounds activations, which is not applied here.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from harness.errors import BrokenCheckpoint
from harness.targets.checkpoint.formats.gptq import TRANSPOSED
from harness.targets.checkpoint.formats.model import Format, Get, Part, Settings, Stored

if TYPE_CHECKING:
    from torch import Tensor

STATE = ".quant_state.bitsandbytes__"
_NESTED = ("absmax", "quant_map", "nested_absmax", "nested_quant_map")


def plan(stored: Stored, _: Settings) -> list[Part]:
    """A part for every packed tensor."""
    flipped = stored.model_type in TRANSPOSED
    parts = []
    for state in stored.entries:
        if STATE in state:
            name = state.partition(STATE)[0]
            parts.append(_four_bits(stored, name, state, flipped=flipped))
    return parts + [_eight_bits(stored, layer, flipped=flipped) for layer in stored.layers(".SCB")]


def _four_bits(stored: Stored, name: str, state: str, *, flipped: bool) -> Part:
    names = {part: f"{name}.{part}" for part in _NESTED if f"{name}.{part}" in stored.entries}
    if name not in stored.entries or "absmax" not in names or "quant_map" not in names:
        raise BrokenCheckpoint(f"the packed tensor {name} lacks its codes, absmax or quant_map", where=stored.where)

    def make(get: Get) -> Tensor:
        facts = json.loads(bytes(get(state).tolist()))
        dense = dequantize(get(name), facts, {part: get(one) for part, one in names.items()})
        return dense.t().contiguous() if flipped and dense.ndim == 2 else dense

    return Part(name, (name, state, *names.values()), make)


def dequantize(packed: Tensor, facts: dict[str, Any], part: dict[str, Tensor]) -> Tensor:
    """The dense tensor in fp32; ``facts`` are shape, block sizes and offset as the file tells them."""
    import torch  # noqa: PLC0415

    raw = packed.view(torch.uint8).reshape(-1)
    shape = [int(size) for size in facts["shape"]]
    values = part["quant_map"].float()[torch.stack([raw >> 4, raw & 15], -1).flatten().long()]
    values = values[: torch.Size(shape).numel()]
    scales = part["absmax"]
    if "nested_absmax" in part:
        inner = part["nested_absmax"].float().repeat_interleave(int(facts["nested_blocksize"]))[: scales.numel()]
        scales = part["nested_quant_map"].float()[scales.reshape(-1).long()] * inner + float(facts["nested_offset"])
    wide = scales.float().reshape(-1).repeat_interleave(int(facts["blocksize"]))[: values.numel()]
    return (values * wide).reshape(shape)


def _eight_bits(stored: Stored, layer: str, *, flipped: bool) -> Part:
    names = (f"{layer}.weight", f"{layer}.SCB")
    if names[0] not in stored.entries or stored.entries[names[0]].dtype != "I8":
        raise BrokenCheckpoint(f"the packed layer {layer} lacks its codes", where=stored.where)
    marks = [name for name in (f"{layer}.weight_format",) if name in stored.entries]

    def make(get: Get) -> Tensor:
        dense = get(names[0]).float() * (get(names[1]).float().reshape(-1, 1) / 127)
        return dense.t().contiguous() if flipped else dense

    return Part(names[0], (*names, *marks), make)


def claim(settings: Settings) -> str:
    """The number format that was asked of bitsandbytes."""
    if settings.get("load_in_8bit") or settings.get("_load_in_8bit"):
        return "int8"
    return str(settings.get("bnb_4bit_quant_type", "fp4"))


def activations(settings: Settings) -> str:
    """LLM.int8() rounds the inputs of every layer, outliers apart."""
    eight = settings.get("load_in_8bit") or settings.get("_load_in_8bit")
    return "8-bit int, dynamic scales, outliers apart (LLM.int8())" if eight else ""


FORMAT = Format("bitsandbytes", plan, claim, activations)
