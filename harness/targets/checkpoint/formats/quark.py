"""AMD Quark: FP8 per tensor or row, int8, and MXFP4 in groups of 32, as its safetensors export writes them.

``weight`` float8 or int8 [O, I] with ``weight_scale``, or uint8 [O, I/2] of two e2m1 codes with ``weight_scale`` uint8
[O, I/32] (exponents of two). These are ModelOpt's layouts, and are read as such. Packed int4 (``weight`` int32) is not.
"""

from __future__ import annotations

from harness.errors import BrokenCheckpoint
from harness.targets.checkpoint.formats import modelopt
from harness.targets.checkpoint.formats.model import Format, Part, Settings, Stored, integer_claim, number, table


def plan(stored: Stored, settings: Settings) -> list[Part]:
    """A part for every tensor of codes that has a scale."""
    packed = [name for name, entry in stored.entries.items() if entry.dtype == "I32" and name.endswith(".weight")]
    if packed:
        raise BrokenCheckpoint(
            f"{packed[0]} is packed int4 in Quark's own order, which is not read here",
            where=stored.where,
            fix="serve it with an engine that reads it and give the address, or give an unpacked copy",
        )
    return modelopt.plan(stored, settings)


def _weight(settings: Settings) -> Settings:
    return table(table(settings.get("global_quant_config")).get("weight"))


def claim(settings: Settings) -> str:
    """From the global configuration; settings per layer have no name."""
    if table(settings.get("layer_quant_config")):
        return ""
    weight = _weight(settings)
    kind = str(weight.get("dtype", "")).lower()
    if "fp8" in kind:
        return "fp8"
    if kind in {"fp4", "mx"} and number(weight.get("group_size"), 0) == 32:
        return "mxfp4"
    if kind in {"int8", "int4"}:
        return integer_claim(int(kind[3:]), number(weight.get("group_size"), -1))
    return ""


def activations(settings: Settings) -> str:
    """What the global configuration says of inputs."""
    found = table(table(settings.get("global_quant_config")).get("input_tensors"))
    return f"{found.get('dtype')}, {'dynamic' if found.get('is_dynamic') else 'static'} scales" if found else ""


FORMAT = Format("Quark", plan, claim, activations)
