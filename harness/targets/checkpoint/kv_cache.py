"""Keys and values rounded as a quantized KV cache would store them, inside the attention of a model; for all positions.

Engines quantize keys after the rotary embedding. Some read a prompt's own keys unrounded while they prefill; here every
read is rounded, as with llama.cpp's cache types and vLLM's fp8 cache with scale 1.

Since April 2026 (pull request 21038) llama.cpp turns heads whose width is a multiple of 64 by a Hadamard matrix before it rounds
them, keys in the largest blocks that fit and values in blocks of 64, and turns what it reads back: outliers are spread, and a
4-bit cache loses a third of what it lost before. ``q8_0`` and ``q4_0`` do as it does; ``-unrotated`` is how it was, and how
engines that took its cache types over earlier still do it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from harness.errors import IncompatibleCandidate

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


def round_cache_of(model: Any, kind: str) -> None:
    """Let a model's own attention read rounded keys and values, and prove on a probe that nothing else of it changed.

    The model's attention is wrapped and not replaced: sinks and biases stay. Raises IncompatibleCandidate where keys and
    values cannot be reached (alibi attention, models without any).
    """
    plain = _probe(model)
    reached: list[int] = []
    before = getattr(model.config, "_attn_implementation", None) or "eager"
    try:
        model.set_attn_implementation(_wrapped(before, "identity", (_same, _same), reached))
        same = torch.allclose(_probe(model), plain, rtol=1e-3, atol=1e-4 * float(plain.abs().max()))
        if same and reached:
            model.set_attn_implementation(_wrapped(before, kind, ROUNDINGS[kind], reached))
            _probe(model)  # heads that are no whole blocks of the cache's type show here
            return
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise _unreachable(model, kind) from error
    raise _unreachable(model, kind)


def _unreachable(model: Any, kind: str) -> IncompatibleCandidate:
    return IncompatibleCandidate(
        f"the keys and values of {type(model).__name__} cannot be rounded on their way to its attention (kv:{kind})",
        fix="leave the quantized cache out, or compare with a host that uses one",
    )


def _same(states: Tensor) -> Tensor:
    return states


def _probe(model: Any) -> Tensor:
    """Logits of a few ids."""
    top = int(model.config.get_text_config().vocab_size)
    ids = torch.arange(1, 1 + 7 * 12, 7, device=model.device)[None] % top
    with torch.inference_mode():
        return model(input_ids=ids, use_cache=False).logits[0].float()  # type: ignore[no-any-return]


def _wrapped(
    before: str, kind: str, roundings: tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]], reached: list[int]
) -> str:
    """Register an attention that rounds what it reads and then does what ``before`` does; returns its name."""
    from transformers import AttentionInterface  # noqa: PLC0415
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, AttentionMaskInterface  # noqa: PLC0415
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS  # noqa: PLC0415

    round_keys, round_values = roundings
    name = f"fidelity_kv_{kind}_{before}"

    def forward(module: Any, query: Tensor, key: Tensor, value: Tensor, *rest: Any, **options: Any) -> Any:
        reached.append(1)
        model = getattr(getattr(module, "config", None), "model_type", "")
        stored = (
            separated(round_keys(interleaved(key))) if kind[0] == "q" and model in _INTERLEAVED else round_keys(key)
        )
        own = sys.modules[type(module).__module__].__dict__.get("eager_attention_forward")
        attend = ALL_ATTENTION_FUNCTIONS[before] if before in ALL_ATTENTION_FUNCTIONS.valid_keys() else own
        return attend(module, query, stored, round_values(value), *rest, **options)  # type: ignore[misc]

    AttentionInterface.register(name, forward)
    AttentionMaskInterface.register(name, ALL_MASK_ATTENTION_FUNCTIONS[before])
    return name
