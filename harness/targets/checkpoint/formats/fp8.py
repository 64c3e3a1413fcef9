"""FP8: e4m3 or e5m2 codes with one scale per tensor, row, group or block.

``NAME.weight`` float8 [O, I] with one of ``weight_scale_inv``, ``weight_scale`` and ``scale`` beside it (for fused
experts ``NAME`` [E, O, I] with ``NAME_scale_inv`` or ``NAME_scale``):

    weight = code * scale, where a scale stands for the whole tensor, an expert, a row, or a block of weight_block_size

whatever the name of the scale says. Blocks at the edges may be cut short. Scales in bytes are exponents of two. Experts
of two 4-bit floats to a byte (int8 codes, a scale for 32 inputs) are read, too. So written by DeepSeek, Qwen, MiniMax
(blocks of 128), AutoFP8 and old vLLM tools (per tensor), fbgemm (per row) and as ``mxfp8``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import BrokenCheckpoint
from harness.targets.checkpoint.formats.model import Format, Get, Part, Settings, Stored

if TYPE_CHECKING:
    from torch import Tensor

CODES = ("F8_E4M3", "F8_E5M2")
SCALES = ("_scale_inv", "_scale", ".scale_inv", ".scale")
_BLOCK = (128, 128)


def plan(stored: Stored, settings: Settings) -> list[Part]:
    """A part for every tensor of codes."""
    return scaled_parts(stored, block_size(settings), half_bytes=True)


def block_size(settings: Settings) -> tuple[int, ...]:
    """The size of the blocks that share a scale; ``(128, 128)`` where it is not declared."""
    declared = settings.get("weight_block_size")
    if isinstance(declared, list) and declared:
        return tuple(int(str(size)) for size in declared)
    return _BLOCK


def scaled_parts(stored: Stored, blocks: tuple[int, ...], *, half_bytes: bool = False) -> list[Part]:
    """Parts of all float8 tensors that have a scale; with ``half_bytes`` also of int8 tensors of two 4-bit floats each."""
    parts = []
    for name, entry in stored.entries.items():
        if entry.dtype in CODES or (half_bytes and entry.dtype == "I8" and len(entry.shape) >= 2):
            scale = scale_of(stored, name)
            if scale and scale != name:
                parts.append(_part(stored, name, scale, blocks))
    return parts


def scale_of(stored: Stored, name: str) -> str:
    """The name of the scale that belongs to a tensor of codes, or an empty string."""
    stem = name.removesuffix(".weight")
    others = [stem + suffix for suffix in SCALES if stem != name and suffix.startswith(".")]
    return stored.first(*(name + suffix for suffix in SCALES if suffix.startswith("_")), *others)


def _part(stored: Stored, name: str, scale: str, blocks: tuple[int, ...]) -> Part:
    halves = stored.entries[name].dtype == "I8"

    def make(get: Get) -> Tensor:
        from harness.targets.checkpoint.formats.codes import fp4_values, scale_values, spread  # noqa: PLC0415

        codes = fp4_values(get(name)) if halves else get(name).float()
        grid = scale_values(get(scale))
        whole = (len(codes.shape) - len(blocks)) * (0,) + blocks if not halves else ()
        return codes * fitted(grid, codes, whole, spread)

    return Part(name, (name, scale), make)


def fitted(grid: Tensor, codes: Tensor, blocks: tuple[int, ...], spread: object) -> Tensor:
    """The grid spread over the codes: in declared blocks where they fit, else in even ones."""
    try:
        return spread(grid, codes.shape, blocks)  # type: ignore[operator, no-any-return]
    except BrokenCheckpoint:
        return spread(grid, codes.shape, ())  # type: ignore[operator, no-any-return]


def claim(settings: Settings) -> str:
    """``fp8``, whatever shares a scale; ``mxfp8`` for blocks of 32 with exponents."""
    return "mxfp8" if str(settings.get("quant_method", "")).lower() == "mxfp8" else "fp8"


def activations(settings: Settings) -> str:
    """What is said of rounded activations."""
    scheme = str(settings.get("activation_scheme") or "")
    if not scheme and "activation_scale_ub" in settings:
        scheme = "dynamic"  # fbgemm rounds the rows of its inputs
    return f"fp8, {scheme} scales" if scheme and scheme != "none" else ""


FORMAT = Format("FP8", plan, claim, activations)
