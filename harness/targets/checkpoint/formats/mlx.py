"""MLX: affine codes with a scale and a bias per group, or narrow floats, as mlx-lm writes them.

``weight`` uint32 [O, I*bits/32]   codes packed along the inputs as one little-endian bit stream
``scales``, ``biases`` [O, I/g]    weight = code * scale + bias                                  (mode ``affine``)
``scales`` uint8 [O, I/g]          exponents of two (``mxfp4``, ``mxfp8``) or e4m3 (``nvfp4``)

``quantization`` in config.json tells group size, bits and mode, and where a layer differs. Experts are stacked as
``switch_mlp`` there; they are given their names in the release back.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING

from harness.errors import BrokenCheckpoint
from harness.targets.checkpoint.formats.model import Format, Get, Part, Settings, Stored, integer_claim, number, table

if TYPE_CHECKING:
    from torch import Tensor

_MODES = {"mxfp4": (4, 32), "mxfp8": (8, 32), "nvfp4": (4, 16)}
_STACKED = ".switch_mlp."
_MIXTRAL = {"gate_proj": "w1", "down_proj": "w2", "up_proj": "w3"}


def plan(stored: Stored, settings: Settings) -> list[Part]:
    """A part for every packed layer, and for every expert of a stack."""
    parts = []
    for layer in stored.layers(".scales"):
        entry = stored.entries.get(f"{layer}.weight")
        if entry is not None and entry.dtype == "U32":
            parts += _experts(stored, _part(stored, layer, settings), entry.shape)
    packed = {part.sources[0] for part in parts}
    for name, entry in stored.entries.items():
        if _STACKED in name and name.endswith(".weight") and name not in packed and len(entry.shape) == 3:
            parts += _experts(stored, Part(name, (name,), _as_it_lies(name)), entry.shape)
    return parts


def _as_it_lies(name: str) -> Callable[[Get], Tensor]:
    """A tensor as it lies in the file."""

    def make(get: Get) -> Tensor:
        return get(name)

    return make


def _part(stored: Stored, layer: str, settings: Settings) -> Part:
    own = table(settings.get(layer)) or table(settings.get(f"model.{layer}"))
    mode = str(own.get("mode", settings.get("mode", "affine")))
    group = number(own.get("group_size", settings.get("group_size")), 64)
    bits = number(own.get("bits", settings.get("bits")), 4)
    names = [f"{layer}.weight", f"{layer}.scales"]
    biases = stored.first(f"{layer}.biases")
    words, groups = stored.shape(names[0])[-1], stored.shape(names[1])[-1]
    if words * 32 != bits * group * groups:
        bits, group = _MODES.get(mode, (bits, words * 32 // bits // groups))
    if words * 32 != bits * group * groups or (mode == "affine") != bool(biases) or mode not in {"affine", *_MODES}:
        raise BrokenCheckpoint(
            f"the packed layer {layer} does not fit {bits} bits in groups of {group} (mode {mode})",
            where=stored.where,
            fix="'quantization' in config.json does not belong to these weights; fetch both again",
        )

    def make(get: Get) -> Tensor:
        return dequantize(mode, get(names[0]), get(names[1]), get(biases) if biases else None, bits, group)

    return Part(names[0], tuple([*names, biases] if biases else names), make)


def dequantize(mode: str, words: Tensor, scales: Tensor, biases: Tensor | None, bits: int, group: int) -> Tensor:
    """The dense weight in fp32."""
    import torch  # noqa: PLC0415

    from harness.targets.checkpoint.formats.codes import fp4_values, scale_values, unpack_stream  # noqa: PLC0415

    if mode == "affine":
        assert biases is not None
        wide = [one.float().repeat_interleave(group, -1) for one in (scales, biases)]
        return unpack_stream(words, bits).float() * wide[0] + wide[1]
    raw = words.view(torch.uint8)
    values = fp4_values(raw) if bits == 4 else raw.view(torch.float8_e4m3fn).float()
    grid = scales.view(torch.float8_e4m3fn).float() if mode == "nvfp4" else scale_values(scales)
    return values * grid.repeat_interleave(group, -1)


def _experts(stored: Stored, part: Part, shape: tuple[int, ...]) -> list[Part]:
    """The part itself, or one part per expert of a stack."""
    if _STACKED not in part.name or len(shape) != 3:
        return [part]
    before, _, after = part.name.partition(_STACKED)
    if stored.model_type == "mixtral":
        matrix, _, rest = after.partition(".")
        before, after = before.replace(".mlp", ".block_sparse_moe"), f"{_MIXTRAL.get(matrix, matrix)}.{rest}"
    stack = _Stack(part, shape[0])
    return [Part(f"{before}.experts.{index}.{after}", part.sources, stack.expert(index)) for index in range(shape[0])]


class _Stack:
    """A stack of experts, unpacked once for all of them and forgotten when the last was taken."""

    def __init__(self, part: Part, count: int) -> None:
        self._part, self._count = part, count
        self._dense: Tensor | None = None
        self._left = 0
        self._lock = Lock()

    def expert(self, index: int) -> Callable[[Get], Tensor]:
        """How one expert is made."""

        def make(get: Get) -> Tensor:
            with self._lock:
                if self._dense is None:
                    self._dense, self._left = self._part.make(get), self._count
                found = self._dense[index].clone()
                self._left -= 1
                if self._left <= 0:
                    self._dense = None
            return found

        return make


def claim(settings: Settings) -> str:
    """``int4g64`` and its like, or a mode's name; layers with settings of their own have no name."""
    if any(isinstance(one, dict) for one in settings.values()):
        return ""
    mode = str(settings.get("mode", "affine"))
    if mode in _MODES:
        return mode
    bits = number(settings.get("bits"), 4)
    return integer_claim(bits, number(settings.get("group_size"), 64)) if 2 <= bits <= 8 else ""


FORMAT = Format("MLX", plan, claim)
