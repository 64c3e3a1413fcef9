"""What both sides of a comparison must agree on: the tile shape, and the files that mark a folder of cached answers."""

from __future__ import annotations

from typing import Final

HEAD_FILE: Final = "head.safetensors"  # beside cached hidden states
SKETCH_FILE: Final = "sketch.json"  # beside cached sketches

_TILE_BYTES = 128 << 20


def tile_rows(vocabulary: int) -> int:
    """Tokens per head tile: about 128 MiB of fp32 logits, a power of two, between 16 and 512.

    It depends on the vocabulary alone, because both sides must be computed in the same tile shape: another shape is
    another summation order, and a model compared with itself would no longer be exactly 0.
    """
    rows = 512
    while rows > 16 and rows * vocabulary * 4 > _TILE_BYTES:
        rows //= 2
    return rows
