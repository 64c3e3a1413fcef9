"""MXFP4 as gpt-oss stores its experts.

``NAME_blocks`` uint8 [E, O, I/32, 16]   two e2m1 codes to a byte, the low nibble first
``NAME_scales`` uint8 [E, O, I/32]       exponents of two with bias 127

    NAME[e, i, o] = code * 2^(scale - 127): the dense experts are stored with their inputs first
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import BrokenCheckpoint
from harness.targets.checkpoint.formats.model import Format, Get, Part, Settings, Stored

if TYPE_CHECKING:
    from torch import Tensor


def plan(stored: Stored, _: Settings) -> list[Part]:
    """A part for every stack of experts."""
    return [_part(stored, name) for name in stored.layers("_blocks")]


def _part(stored: Stored, name: str) -> Part:
    blocks, scales = f"{name}_blocks", f"{name}_scales"
    if scales not in stored.entries or stored.shape(blocks)[:-1] != stored.shape(scales):
        raise BrokenCheckpoint(f"the packed experts {name} lack scales that fit", where=stored.where)

    def make(get: Get) -> Tensor:
        from harness.targets.checkpoint.formats.codes import fp4_values, scale_values  # noqa: PLC0415

        dense = (fp4_values(get(blocks)) * scale_values(get(scales)).unsqueeze(-1)).flatten(-2)
        return dense.transpose(-1, -2).contiguous() if dense.ndim == 3 else dense

    return Part(name, (blocks, scales), make)


def claim(_: Settings) -> str:
    """``mxfp4``."""
    return "mxfp4"


FORMAT = Format("MXFP4", plan, claim)
