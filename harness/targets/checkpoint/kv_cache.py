"""Keys and values rounded as a quantized KV cache would store them, inside the attention of a model; for all positions.

Engines quantize keys after the rotary embedding. Some read a prompt's own keys unrounded while they prefill; here every
read is rounded, as with llama.cpp's cache types and vLLM's fp8 cache with scale 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_BLOCK = 32


def round_e4m3(states: Tensor) -> Tensor:
    """e4m3 with scale 1; what is beyond its largest value (448) saturates."""
    return states.clamp(-448.0, 448.0).to(torch.float8_e4m3fn).to(states.dtype)


def round_blocks(states: Tensor, bits: int) -> Tensor:
    """Symmetric integers with one fp16 scale per 32 neighbours of a head, as llama.cpp's q8_0 and q4_0.

    q8_0 puts the largest magnitude at 127; q4_0 puts the value of largest magnitude, with its sign, at -8.
    """
    blocks = states.float().unflatten(-1, (-1, _BLOCK))
    extreme = blocks.gather(-1, blocks.abs().argmax(-1, keepdim=True))
    scale = (extreme.abs() / 127.0 if bits == 8 else extreme / -8.0).half().float()
    inverse = torch.where(scale == 0, 0.0, 1.0 / scale)
    low, high = (-127, 127) if bits == 8 else (-8, 7)
    levels = (blocks * inverse).round().clamp(low, high)
    return (levels * scale).flatten(-2).to(states.dtype)


ROUNDINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "e4m3": round_e4m3,
    "q8_0": lambda states: round_blocks(states, 8),
    "q4_0": lambda states: round_blocks(states, 4),
}


def attention_with(kind: str) -> str:
    """Register an attention that reads rounded keys and values; returns its name for ``attn_implementation``."""
    from transformers import AttentionInterface  # noqa: PLC0415
    from transformers.integrations.sdpa_attention import sdpa_attention_forward  # noqa: PLC0415
    from transformers.masking_utils import AttentionMaskInterface, sdpa_mask  # noqa: PLC0415

    rounding = ROUNDINGS[kind]
    name = f"fidelity_kv_{kind}"

    def forward(module: Any, query: Tensor, key: Tensor, value: Tensor, *rest: Any, **options: Any) -> Any:
        return sdpa_attention_forward(module, query, rounding(key), rounding(value), *rest, **options)

    AttentionInterface.register(name, forward)
    AttentionMaskInterface.register(name, sdpa_mask)
    return name
