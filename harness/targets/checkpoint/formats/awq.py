"""AWQ: 4-bit codes packed along the outputs, as AutoAWQ writes them.

With I inputs, O outputs and groups of g inputs, layout ``gemm``:

``qweight`` int32 [I, O/8]      eight codes to a word, in the order 0 2 4 6 1 3 5 7
``qzeros``  int32 [I/g, O/8]    zero points, packed likewise
``scales``  float [I/g, O]

    weight[o, i] = scales[i // g, o] * (code[i, o] - zero[i // g, o])

Layout ``gemv`` packs along the inputs, in order: ``qweight`` [O, I/8], ``qzeros`` [O, z], ``scales`` [O, 8 z], where
groups beyond I/g are padding. ``marlin`` and ``gemv_fast`` shuffle codes for one kernel and are not read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import BrokenCheckpoint
from harness.targets.checkpoint.formats.model import Format, Part, Settings, Stored, integer_claim, number

if TYPE_CHECKING:
    from torch import Tensor

_ORDER = (0, 4, 1, 5, 2, 6, 3, 7)  # where each output lies among the nibbles of its word
_BITS = 4
_PER_WORD = 8


def plan(stored: Stored, settings: Settings) -> list[Part]:
    """A part for every packed layer."""
    group = number(settings.get("group_size", settings.get("q_group_size")), 128)
    bits = number(settings.get("bits", settings.get("w_bit")), _BITS)
    if bits != _BITS:
        raise BrokenCheckpoint(f"AWQ with {bits} bits is not known", where=stored.where, fix="4 is")
    return [_part(stored, layer, group) for layer in stored.layers(".qweight")]


def _part(stored: Stored, layer: str, group: int) -> Part:
    names = tuple(f"{layer}.{part}" for part in ("qweight", "qzeros", "scales"))
    absent = [name for name in names if name not in stored.entries]
    if absent:
        raise BrokenCheckpoint(f"the packed layer {layer} lacks {absent[0]}", where=stored.where)
    words, zeros, scales = (stored.shape(name) for name in names)
    if len(words) == 2 and words[1] * _PER_WORD == scales[-1] and zeros == (scales[0], words[1]):
        return Part(f"{layer}.weight", names, lambda get: _gemm(get(names[0]), get(names[1]), get(names[2])))
    size = group if group > 0 else words[1] * _PER_WORD
    if (
        len(words) == 2
        and words[0] == scales[0] == zeros[0]
        and zeros[1] * _PER_WORD == scales[1]
        and scales[1] * size >= words[1] * _PER_WORD
        and stored.entries[names[0]].dtype == "I32"
    ):
        return Part(f"{layer}.weight", names, lambda get: _gemv(get(names[0]), get(names[1]), get(names[2]), size))
    raise BrokenCheckpoint(
        f"this AWQ checkpoint is laid out for one kernel (qweight {words}, scales {scales} in {layer}), which is not read",
        where=stored.where,
        fix="give the release in AWQ's format 'gemm', or an unpacked copy",
    )


def _gemm(qweight: Tensor, qzeros: Tensor, scales: Tensor) -> Tensor:
    codes, zeros = unpack_gemm(qweight), unpack_gemm(qzeros)
    group = codes.shape[0] // scales.shape[0]
    spread = scales.float().repeat_interleave(group, 0)
    return (spread * (codes - zeros.repeat_interleave(group, 0)).float()).t().contiguous()


def unpack_gemm(words: Tensor) -> Tensor:
    """``[rows, outputs/8]`` words to ``[rows, outputs]`` codes in the order of the outputs."""
    from harness.targets.checkpoint.formats.codes import unpack_stream  # noqa: PLC0415

    nibbles = unpack_stream(words, _BITS).reshape(words.shape[0], -1, _PER_WORD)
    return nibbles[..., list(_ORDER)].flatten(-2)


def _gemv(qweight: Tensor, qzeros: Tensor, scales: Tensor, group: int) -> Tensor:
    from harness.targets.checkpoint.formats.codes import unpack_stream  # noqa: PLC0415

    codes, zeros = unpack_stream(qweight, _BITS), unpack_stream(qzeros, _BITS)
    groups = -(-codes.shape[1] // group)
    wide = [part[:, :groups].repeat_interleave(group, 1)[:, : codes.shape[1]] for part in (scales.float(), zeros)]
    return wide[0] * (codes - wide[1]).float()


def claim(settings: Settings) -> str:
    """``int4g128`` and its like."""
    bits = number(settings.get("bits", settings.get("w_bit")), _BITS)
    return integer_claim(bits, number(settings.get("group_size", settings.get("q_group_size")), 128))


FORMAT = Format("AWQ", plan, claim)
