"""BitNet: weights of -1, 0 and 1, four to a byte.

``weight`` uint8 [O/4, I]: rows k, k + O/4, k + O/2, k + 3O/4 from the lowest two bits up, each plus one
``weight_scale`` one float, which multiplies (``linear_class`` autobitlinear) or divides (bitlinear, the older one)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.targets.checkpoint.formats.model import Format, Get, Part, Settings, Stored

if TYPE_CHECKING:
    from torch import Tensor


def plan(stored: Stored, settings: Settings) -> list[Part]:
    """A part for every packed layer."""
    divides = str(settings.get("linear_class", "bitlinear")).lower() != "autobitlinear"
    return [
        _part(layer, divides=divides)
        for layer in stored.layers(".weight_scale")
        if f"{layer}.weight" in stored.entries and stored.entries[f"{layer}.weight"].dtype == "U8"
    ]


def _part(layer: str, *, divides: bool) -> Part:
    def make(get: Get) -> Tensor:
        import torch  # noqa: PLC0415

        packed = get(f"{layer}.weight")
        ternary = torch.cat([(packed >> shift) & 3 for shift in (0, 2, 4, 6)]).float() - 1
        scale = get(f"{layer}.weight_scale").float().reshape(-1)[0]
        return ternary / scale if divides else ternary * scale

    return Part(f"{layer}.weight", (f"{layer}.weight", f"{layer}.weight_scale"), make)


def claim(_: Settings) -> str:
    """No claim has a name for it."""
    return ""


def activations(_: Settings) -> str:
    """BitNet rounds the inputs of every layer."""
    return "8-bit int, dynamic scales"


FORMAT = Format("BitNet", plan, claim, activations)
