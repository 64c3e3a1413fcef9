"""GPTQ: codes packed along the inputs, as AutoGPTQ and GPTQModel write them.

Per linear layer the files hold, with B bits, I inputs, O outputs and G groups:

``qweight`` int32 [I*B/32, O]   codes, packed along the inputs as one little-endian bit stream
``qzeros``  int32 [G, O*B/32]   zero points, packed along the outputs; format v1 stores them minus one
``scales``  float [G, O]
``g_idx``   int32 [I]           group of each input; absent or in order without act-order

    weight[o, i] = scales[g_idx[i], o] * (code[i, o] - zero[g_idx[i], o])

The bits of a layer follow from its shapes, so bits per layer (``dynamic``) and layers that were left alone need no rule.
The layout is that of AutoGPTQ 0.7.1 and of GPTQModel's ``gptq`` (v1) and ``gptq_v2`` formats.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import BrokenCheckpoint
from harness.targets.checkpoint.formats.model import Format, Get, Part, Settings, Stored, integer_claim, number

if TYPE_CHECKING:
    from torch import Tensor

BITS = (2, 3, 4, 8)
#: Architectures whose projections are stored ``[inputs, outputs]``, unlike those of all others.
TRANSPOSED = {"gpt2", "openai-gpt", "imagegpt", "decision_transformer"}
_OTHER_LAYOUTS = {"marlin", "bitblas", "exllama", "gptq_pro"}


def plan(stored: Stored, settings: Settings) -> list[Part]:
    """A part for every packed layer."""
    layout = str(settings.get("checkpoint_format", settings.get("format", "gptq"))).lower()
    if layout in _OTHER_LAYOUTS or settings.get("is_marlin_format"):
        raise BrokenCheckpoint(
            f"this GPTQ checkpoint is laid out for one kernel ('{layout}'), which is not read here",
            where=stored.where,
            fix="give the release in the format 'gptq' or 'gptq_v2', or an unpacked copy",
        )
    return packed_parts(stored, number(settings.get("bits"), 0), 0 if layout == "gptq_v2" else 1)


def packed_parts(stored: Stored, declared_bits: int, zero_offset: int) -> list[Part]:
    """Parts of all layers packed along their inputs; ``zero_offset`` is what stored zero points lack."""
    return [_part(stored, layer, declared_bits, zero_offset) for layer in stored.layers(".qweight")]


def _part(stored: Stored, layer: str, declared_bits: int, zero_offset: int) -> Part:
    names = {part: f"{layer}.{part}" for part in ("qweight", "qzeros", "scales", "g_idx")}
    absent = [part for part in ("qzeros", "scales") if names[part] not in stored.entries]
    if absent:
        raise BrokenCheckpoint(f"the packed layer {layer} lacks {' and '.join(absent)}", where=stored.where)
    words, zeros, scales = (stored.shape(names[part]) for part in ("qweight", "qzeros", "scales"))
    bits = declared_bits
    if len(words) == 2 and len(zeros) == 2 and len(scales) == 2 and scales[1]:
        bits = zeros[1] * 32 // scales[1]
        fits = bits in BITS and zeros[1] * 32 == scales[1] * bits and words[1] == scales[1] and zeros[0] == scales[0]
    else:
        fits = False
    if not fits:
        raise BrokenCheckpoint(
            f"the packed layer {layer} is not in GPTQ's layout (qweight {words}, qzeros {zeros}, scales {scales}; "
            f"config.json says {declared_bits} bits)",
            where=stored.where,
            fix="if config.json names another format than the file is in, restore the release's config.json",
        )
    indexed = names["g_idx"] in stored.entries and stored.shape(names["g_idx"])[0] > 0
    flipped = stored.model_type in TRANSPOSED

    def make(get: Get) -> Tensor:
        groups = get(names["g_idx"]) if indexed else None
        dense = dequantize(get(names["qweight"]), get(names["qzeros"]), get(names["scales"]), groups, bits, zero_offset)
        return dense.t().contiguous() if flipped else dense

    sources = tuple(name for name in names.values() if name in stored.entries)
    return Part(f"{layer}.weight", sources, make)


def dequantize(
    qweight: Tensor, qzeros: Tensor, scales: Tensor, groups: Tensor | None, bits: int, zero_offset: int
) -> Tensor:
    """The dense weight ``[outputs, inputs]`` in fp32; ``zero_offset`` is 1 for format v1, whose zeros wrap."""
    import torch  # noqa: PLC0415

    from harness.targets.checkpoint.formats.codes import unpack_stream  # noqa: PLC0415

    codes = unpack_stream(qweight.t().contiguous(), bits)  # [outputs, inputs]
    zeros = (unpack_stream(qzeros.contiguous(), bits) + zero_offset) % (1 << bits)  # [groups, outputs]
    inputs = codes.shape[1]
    if groups is None:
        size = -(-inputs // scales.shape[0])
        groups = torch.arange(inputs) // size
    index = groups.long() % scales.shape[0]
    return scales.float()[index].t() * (codes - zeros[index].t()).float()


def claim(settings: Settings) -> str:
    """``int4g128`` and its like; bits that differ by layer have no name."""
    dynamic = settings.get("dynamic")
    rules = (
        [rule for name, rule in dynamic.items() if not str(name).startswith("-")] if isinstance(dynamic, dict) else []
    )
    if any(isinstance(rule, dict) and ({"bits", "group_size"} & set(rule)) for rule in rules):
        return ""
    bits = number(settings.get("bits"), 0)
    return integer_claim(bits, number(settings.get("group_size"), 128)) if bits in BITS else ""


FORMAT = Format("GPTQ", plan, claim)
