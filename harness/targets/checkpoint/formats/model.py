"""What a format of quantized weights is, and what a folder of weights holds; values only, nothing is read here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import JsonValue

from harness.targets.checkpoint.safetensors_header import TensorEntry

if TYPE_CHECKING:
    from torch import Tensor

Settings = dict[str, JsonValue]
Get = Callable[[str], "Tensor"]  # a stored tensor by its name

UNREADABLE = -(1 << 20)


@dataclass(frozen=True, slots=True)
class Stored:
    """The tensors of a folder, without their values; ``metadata`` is what the headers of the files carry beside them."""

    entries: Mapping[str, TensorEntry]
    metadata: Mapping[str, str] = field(default_factory=dict)
    model_type: str = ""
    where: str = ""

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a stored tensor."""
        return self.entries[name].shape

    def layers(self, suffix: str) -> list[str]:
        """The names of all layers that have a tensor of this suffix, suffix cut off."""
        return [name.removesuffix(suffix) for name in self.entries if name.endswith(suffix)]

    def first(self, *names: str) -> str:
        """The first of the names that is stored, or an empty string."""
        return next((name for name in names if name in self.entries), "")


@dataclass(frozen=True, slots=True)
class Part:
    """One dense tensor: the stored tensors that it is made from, and how. ``make`` returns fp32 unless nothing was changed."""

    name: str
    sources: tuple[str, ...]
    make: Callable[[Get], Tensor]


@dataclass(frozen=True, slots=True)
class Format:
    """A way to store quantized weights.

    ``plan`` lists a part for every quantized tensor of a folder and raises BrokenCheckpoint for a layout that is not
    read. ``claim`` is the precision that the settings declare, as ``--claim`` takes it; empty where there is no name for
    it. ``activations`` says in words how the settings round activations, which is not applied here; empty if not at all.
    """

    name: str
    plan: Callable[[Stored, Settings], list[Part]]
    claim: Callable[[Settings], str]
    activations: Callable[[Settings], str] = field(default=lambda _: "")


def number(value: object, default: int) -> int:
    """A whole number of the settings, which may be a string; ``UNREADABLE`` for a word, the default for nothing."""
    if value is None:
        return default
    text = str(value)
    return int(text) if text.lstrip("-").isdigit() else UNREADABLE


def table(value: object) -> Settings:
    """A JSON object of the settings; empty where it is none."""
    return dict(value) if isinstance(value, dict) else {}


def integer_claim(bits: int, group: int) -> str:
    """The claim of whole-number codes: ``int4g128``, or ``int8-channel`` with one scale per row; empty if unreadable."""
    if bits < 2 or group == UNREADABLE:
        return ""
    return f"int{bits}g{group}" if group > 1 else f"int{bits}-channel"
