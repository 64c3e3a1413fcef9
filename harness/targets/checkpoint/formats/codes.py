"""Arithmetic of packed codes; runs in the isolated process only.

Integers are unpacked from little-endian bit streams, 4-bit floats from pairs of nibbles (low first), scales are spread
over the weights that share them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from harness.errors import BrokenCheckpoint

_FP4 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0)  # e2m1
_WORD = 32


def unpack_stream(words: Tensor, bits: int, count: int | None = None) -> Tensor:
    """Codes packed along the last axis of 32-bit words as one little-endian bit stream; ``[..., count]``, int64."""
    stream = words.view(torch.int32).long() & 0xFFFFFFFF
    total = stream.shape[-1] * _WORD // bits
    start = torch.arange(total) * bits
    word, offset = start // _WORD, start % _WORD
    stream = torch.nn.functional.pad(stream, (0, 1))  # the last code may ask for a word that is not needed
    pair = stream[..., word] | (stream[..., word + 1] << _WORD)
    codes = (pair >> offset) & ((1 << bits) - 1)
    return codes[..., :count] if count is not None else codes


def unpack_padded(words: Tensor, bits: int, count: int) -> Tensor:
    """Codes packed so that none straddles two words: ``32 // bits`` of them in each; ``[..., count]``, int64."""
    stream = words.view(torch.int32).long().unsqueeze(-1) & 0xFFFFFFFF
    codes = (stream >> (torch.arange(_WORD // bits) * bits)) & ((1 << bits) - 1)
    return codes.flatten(-2)[..., :count]


def fp4_values(packed: Tensor) -> Tensor:
    """Values of 4-bit floats (e2m1), two to a byte, the low nibble first: ``[..., n]`` bytes to ``[..., 2n]`` fp32."""
    raw = packed.view(torch.uint8)
    return torch.tensor(_FP4)[torch.stack([raw & 15, raw >> 4], -1).flatten(-2).long()]


def scale_values(scale: Tensor) -> Tensor:
    """Scales as fp32; bytes are exponents of two with bias 127 (E8M0)."""
    if scale.dtype == torch.uint8:
        return torch.exp2(scale.float() - 127)
    return scale.float()


def spread(scale: Tensor, shape: torch.Size, blocks: tuple[int, ...] = ()) -> Tensor:
    """A grid of scales, brought to the shape of the weights.

    ``blocks`` are the sizes of the blocks along the last axes; without them an axis is divided evenly. The last block
    of an axis may be cut short. Raises BrokenCheckpoint where the grid cannot belong to the weights.
    """
    if scale.numel() == 1:
        return scale.reshape(())
    if scale.ndim == 1 and len(shape) == 3 and scale.shape[0] == shape[0]:
        return scale[:, None, None]  # one for each expert
    if scale.ndim == 1 and len(shape) >= 2 and scale.shape[0] == shape[-2]:
        return scale[:, None]  # one for each row
    while scale.ndim > len(shape) and 1 in scale.shape:
        scale = scale.squeeze(list(scale.shape).index(1))
    if scale.ndim != len(shape):
        raise _misfit(scale, shape)
    known = (0,) * (len(shape) - len(blocks)) + tuple(blocks)
    for axis, (have, want) in enumerate(zip(tuple(scale.shape), tuple(shape), strict=True)):
        if have in {1, want}:
            continue
        size = known[axis] or (want // have if want % have == 0 else 0)
        if not size or -(-want // size) != have:
            raise _misfit(scale, shape)
        scale = scale.repeat_interleave(size, axis).narrow(axis, 0, want)
    return scale


def _misfit(scale: Tensor, shape: torch.Size) -> BrokenCheckpoint:
    return BrokenCheckpoint(
        f"scales of shape {tuple(scale.shape)} do not belong to weights of shape {tuple(shape)}",
        fix="the block size in config.json does not fit, or the file is damaged; fetch both again",
    )
