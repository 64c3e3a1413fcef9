"""Keys and values rounded as a quantized KV cache would store them, inside the attention of a model; for all positions.

Engines quantize keys after the rotary embedding. Some read a prompt's own keys unrounded while they prefill; here every
read is rounded, as with llama.cpp's cache types and vLLM's fp8 cache with scale 1.

Since April 2026 (pull request 21038) llama.cpp turns heads whose width is a multiple of 64 by a Hadamard matrix before it rounds
them, keys in the largest blocks that fit and values in blocks of 64, and turns what it reads back: outliers are spread, and a
4-bit cache loses a third of what it lost before. ``q8_0`` and ``q4_0`` do as it does; ``-unrotated`` is how it was, and how
engines that took its cache types over earlier still do it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

_BLOCK = 32
_TURNED = 64  # width of the smallest block that is turned
#: Models whose rotary pairs lie side by side in GGUF files, so that other neighbours share a scale.
_INTERLEAVED = frozenset({"llama", "mistral", "mixtral", "granite", "smollm3"})


def round_e4m3(states: Tensor) -> Tensor:
    """e4m3 with scale 1; what is beyond its largest value (448) saturates."""
    return states.clamp(-448.0, 448.0).to(torch.float8_e4m3fn).to(states.dtype)


def round_blocks(states: Tensor, bits: int) -> Tensor:
    """Symmetric integers with one fp16 scale per 32 neighbours of a head, as llama.cpp's q8_0 and q4_0.

    q8_0 puts the largest magnitude at 127; q4_0 puts the value of largest magnitude, with its sign, at -8. Levels are found with
    the scale as it is before it is stored.
    """
    blocks = states.float().unflatten(-1, (-1, _BLOCK))
    extreme = blocks.gather(-1, blocks.abs().argmax(-1, keepdim=True))
    scale = extreme.abs() / 127.0 if bits == 8 else extreme / -8.0
    inverse = torch.where(scale.half() == 0, 0.0, 1.0 / scale)
    low, high = (-127, 127) if bits == 8 else (-8, 7)
    levels = (blocks * inverse).round().clamp(low, high)
    return (levels * scale.half().float()).flatten(-2).to(states.dtype)


def interleaved(keys: Tensor) -> Tensor:
    """Heads in the order in which GGUF files of some models hold them: the two halves that turn together side by side."""
    return keys.unflatten(-1, (2, -1)).transpose(-1, -2).flatten(-2)


def separated(keys: Tensor) -> Tensor:
    """The order of transformers again."""
    return keys.unflatten(-1, (-1, 2)).transpose(-1, -2).flatten(-2)


def hadamard(width: int) -> Tensor:
    """Sylvester's matrix of a power of 2, orthonormal and symmetric: it is its own inverse."""
    found = torch.ones(1, 1)
    while len(found) < width:
        found = torch.cat([torch.cat([found, found], 1), torch.cat([found, -found], 1)])
    return found / width**0.5


def turned(states: Tensor, rounding: Callable[[Tensor], Tensor], block: int) -> Tensor:
    """Rounded while turned in blocks of the last axis, and turned back."""
    matrix = hadamard(block).to(states.device)

    def turn(one: Tensor) -> Tensor:
        return (one.float().unflatten(-1, (-1, block)) @ matrix).flatten(-2)

    return turn(rounding(turn(states))).to(states.dtype)


def round_cache(states: Tensor, bits: int, *, key: bool) -> Tensor:
    """As llama.cpp stores keys, or values, of one width of heads."""

    def rounding(one: Tensor) -> Tensor:
        return round_blocks(one, bits)

    width = states.shape[-1]
    if width % _TURNED:
        return rounding(states)
    block = _TURNED
    while key and width % (2 * block) == 0:
        block *= 2
    return turned(states, rounding, block)


#: Per kind, how keys and how values are rounded.
ROUNDINGS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "e4m3": (round_e4m3, round_e4m3),
    **{
        f"q{bits}_0": (partial(round_cache, bits=bits, key=True), partial(round_cache, bits=bits, key=False))
        for bits in (8, 4)
    },
    **{f"q{bits}_0-unrotated": (partial(round_blocks, bits=bits),) * 2 for bits in (8, 4)},
}


def attention_with(kind: str) -> str:
    """Register an attention that reads rounded keys and values; returns its name for ``attn_implementation``."""
    from transformers import AttentionInterface  # noqa: PLC0415
    from transformers.integrations.sdpa_attention import sdpa_attention_forward  # noqa: PLC0415
    from transformers.masking_utils import AttentionMaskInterface, sdpa_mask  # noqa: PLC0415

    round_keys, round_values = ROUNDINGS[kind]
    name = f"fidelity_kv_{kind}"

    def forward(module: Any, query: Tensor, key: Tensor, value: Tensor, *rest: Any, **options: Any) -> Any:
        model = getattr(getattr(module, "config", None), "model_type", "")
        stored = (
            separated(round_keys(interleaved(key))) if kind != "e4m3" and model in _INTERLEAVED else round_keys(key)
        )
        return sdpa_attention_forward(module, query, stored, round_values(value), *rest, **options)

    AttentionInterface.register(name, forward)
    AttentionMaskInterface.register(name, sdpa_mask)
    return name
