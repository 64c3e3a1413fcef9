"""AutoRound: GPTQ's or AWQ's packing with zero points of its own, or blocks of narrow floats.

``packing_format`` tells which: ``auto_round:auto_awq`` is AWQ's ``gemm``; names with ``gptq`` are GPTQ's v1, whose
stored zero points lack one; all others (``auto_round``, ``auto_round:exllamav2``, ``auto_round:gptqmodel``) pack as
GPTQ does and store the zero points as they are. Narrow floats (``mx_fp``, ``nv_fp``, ``fp8``) are laid out as
compressed-tensors lays them out. Checked against the code of auto-round 0.16.1.
"""

from __future__ import annotations

from harness.targets.checkpoint.formats import awq, compressed_tensors, gptq
from harness.targets.checkpoint.formats.model import Format, Part, Settings, Stored, integer_claim, number, table


def plan(stored: Stored, settings: Settings) -> list[Part]:
    """A part for every packed layer."""
    packing = _packing(settings)
    if "awq" in packing:
        return awq.plan(stored, settings | {"bits": settings.get("bits", 4)})
    if stored.layers(".qweight"):
        lacking = 1 if "gptq" in packing and "gptqmodel" not in packing else 0
        return gptq.packed_parts(stored, number(settings.get("bits"), 0), lacking)
    return compressed_tensors.plan(stored, settings)


def _packing(settings: Settings) -> str:
    default = "auto_round:auto_gptq" if settings.get("sym") else "auto_round"
    return str(settings.get("packing_format", settings.get("backend", default))).lower()


def claim(settings: Settings) -> str:
    """``int4g128`` and its like; layers with bits of their own have no name."""
    extra = table(settings.get("extra_config"))
    other = {number(table(one).get("bits"), 16) for one in extra.values()} - {16, number(settings.get("bits"), 0)}
    if other:
        return ""
    kind = str(settings.get("data_type", "int")).lower()
    if kind.startswith("mx_fp"):
        return "mxfp4" if number(settings.get("bits"), 0) == 4 else "mxfp8"
    if kind.startswith("nv_fp"):
        return "nvfp4"
    if kind.startswith("fp8"):
        return "fp8"
    bits = number(settings.get("bits"), 0)
    return integer_claim(bits, number(settings.get("group_size"), 128)) if 2 <= bits <= 8 else ""


def activations(settings: Settings) -> str:
    """What is said of rounded activations."""
    bits = number(settings.get("act_bits"), 16)
    return f"{bits} bits ({settings.get('act_data_type', 'int')})" if bits < 16 else ""


FORMAT = Format("AutoRound", plan, claim, activations)
