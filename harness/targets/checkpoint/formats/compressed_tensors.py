"""compressed-tensors, as llm-compressor writes it: integers, FP8, NVFP4, MXFP4 and MXFP8, in groups of layers.

``weight_packed`` int32 [O, w], ``weight_shape``, ``weight_scale`` [O, G], perhaps ``weight_zero_point``, ``weight_g_idx``
                  signed codes plus 2^(bits-1), packed along the inputs, densely or none straddling two words
``weight`` int8 or float8 [O, I], ``weight_scale`` per tensor, row, group or block, perhaps ``weight_zero_point``
``weight_packed`` uint8 [O, I/2] of two e2m1 codes, ``weight_scale`` float8 [O, I/16], ``weight_global_scale`` (divides)
``weight_packed`` uint8 [O, I/2], ``weight_scale`` uint8 [O, I/32] (exponents of two)

    weight = (code - zero) * scale

Which it is follows from the tensors; the settings say the bits where packing alone leaves them open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.errors import BrokenCheckpoint
from harness.targets.checkpoint.formats.fp8 import CODES
from harness.targets.checkpoint.formats.model import Format, Get, Part, Settings, Stored, integer_claim, table

if TYPE_CHECKING:
    from torch import Tensor

_OLD = ("sparse-24-bitmask", "sparse-bitmask", "marlin-24", "mxfp6-pack-quantized")


def plan(stored: Stored, settings: Settings) -> list[Part]:
    """A part for every compressed layer."""
    text = f"{settings.get('format', '')} {table(settings.get('sparsity_config')).get('format', '')}"
    text += " ".join(str(table(group).get("format", "")) for group in table(settings.get("config_groups")).values())
    old = next((name for name in _OLD if name in text), "")
    transform = table(table(settings.get("transform_config")).get("config_groups"))
    if old or transform:
        what = f"the layout '{old}'" if old else "transforms of activations (transform_config)"
        raise BrokenCheckpoint(
            f"this compressed-tensors checkpoint has {what}, which is not read here",
            where=stored.where,
            fix="serve it with an engine that reads it and give the address, or give an unpacked copy",
        )
    parts = [_packed(stored, layer, settings) for layer in stored.layers(".weight_packed")]
    for layer in stored.layers(".weight_scale"):
        entry = stored.entries.get(f"{layer}.weight")
        if entry is not None and (entry.dtype == "I8" or entry.dtype in CODES):
            parts.append(_naive(stored, layer, settings))
    return parts


def _schemes(settings: Settings) -> list[Settings]:
    """The distinct settings of weights in all groups."""
    found: list[Settings] = []
    for group in table(settings.get("config_groups")).values():
        weights = table(table(group).get("weights"))
        if weights and weights not in found:
            found.append(weights)
    return found


def _packed(stored: Stored, layer: str, settings: Settings) -> Part:
    names = {
        part: f"{layer}.weight_{part}" for part in ("packed", "scale", "shape", "zero_point", "g_idx", "global_scale")
    }
    sources = tuple(name for name in names.values() if name in stored.entries)
    if names["scale"] not in stored.entries:
        raise BrokenCheckpoint(f"the packed layer {layer} lacks weight_scale", where=stored.where)
    packed = stored.entries[names["packed"]]
    if packed.dtype == "U8":
        second = names["global_scale"] if names["global_scale"] in stored.entries else ""

        def floats(get: Get) -> Tensor:
            from harness.targets.checkpoint.formats.codes import fp4_values, scale_values, spread  # noqa: PLC0415

            values = fp4_values(get(names["packed"]))
            grid = scale_values(get(names["scale"]))
            return values * spread(grid / get(second).float() if second else grid, values.shape)

        return Part(f"{layer}.weight", sources, floats)
    if names["shape"] not in stored.entries:
        raise BrokenCheckpoint(f"the packed layer {layer} lacks weight_shape", where=stored.where)
    bits = sorted({int(str(s["num_bits"])) for s in _schemes(settings) if s.get("type") == "int" and "num_bits" in s})

    def integers(get: Get) -> Tensor:
        return _integers({part: get(name) for part, name in names.items() if name in stored.entries}, bits, layer)

    return Part(f"{layer}.weight", sources, integers)


def _integers(part: dict[str, Tensor], declared: list[int], layer: str) -> Tensor:
    import torch  # noqa: PLC0415

    from harness.targets.checkpoint.formats.codes import spread, unpack_padded, unpack_stream  # noqa: PLC0415

    shape = torch.Size(int(size) for size in part["shape"])
    width, words = shape[-1], part["packed"].shape[-1]
    fitting = [
        (bits, unpack)
        for bits in declared
        for unpack, needed in ((unpack_stream, -(-width * bits // 32)), (unpack_padded, -(-width // (32 // bits))))
        if needed == words
    ]
    if len({bits for bits, _ in fitting}) != 1:
        raise BrokenCheckpoint(
            f"the packed layer {layer} fits {len(fitting)} of the declared bit widths {declared}",
            fix="config.json does not belong to these weights; fetch both again",
        )
    bits, unpack = fitting[0]
    half = 1 << (bits - 1)
    codes = unpack(part["packed"], bits, width) - half
    scale = part["scale"].float()
    zero = part.get("zero_point")
    if zero is not None:
        if zero.dtype == torch.int32:
            zero = unpack(zero.transpose(-1, -2).contiguous(), bits, shape[-2]).transpose(-1, -2) - half
        zero = zero.float()
    index = part.get("g_idx")
    if index is not None and index.numel() and bool((index >= 0).all()):
        order = index.long()
        return (codes - (zero[..., order] if zero is not None else 0)).float() * scale[..., order]
    wide = spread(scale, shape)
    return (codes.float() - (spread(zero, shape) if zero is not None else 0)) * wide


def _naive(stored: Stored, layer: str, settings: Settings) -> Part:
    names = [f"{layer}.weight", f"{layer}.weight_scale"]
    zero = stored.first(f"{layer}.weight_zero_point")
    blocks: tuple[int, ...] = ()
    for scheme in _schemes(settings):
        structure: Any = scheme.get("block_structure")
        if isinstance(structure, str) and "x" in structure:
            structure = structure.split("x")
        if isinstance(structure, list):
            blocks = tuple(int(str(size)) for size in structure)

    def make(get: Get) -> Tensor:
        from harness.targets.checkpoint.formats.codes import scale_values, spread  # noqa: PLC0415
        from harness.targets.checkpoint.formats.fp8 import fitted  # noqa: PLC0415

        codes = get(names[0]).float()
        if zero:
            codes = codes - fitted(get(zero).float(), codes, blocks, spread)
        return codes * fitted(scale_values(get(names[1])), codes, blocks, spread)

    return Part(names[0], (*names, *([zero] if zero else [])), make)


def claim(settings: Settings) -> str:
    """One scheme for all layers; several have no name."""
    schemes = _schemes(settings)
    if not schemes or any(one != schemes[0] for one in schemes):
        return ""
    weights = schemes[0]
    bits, group = weights.get("num_bits"), weights.get("group_size")
    size = group if isinstance(group, int) else -1
    if weights.get("type") == "float":
        return {(4, 16): "nvfp4", (4, 32): "mxfp4", (8, 32): "mxfp8"}.get(
            (int(str(bits)), size), "fp8" if bits == 8 else ""
        )
    if weights.get("type") != "int" or bits not in {2, 3, 4, 5, 6, 7, 8}:
        return ""
    return integer_claim(int(str(bits)), size)


def activations(settings: Settings) -> str:
    """What is said of rounded activations, of the first group that rounds them."""
    for group in table(settings.get("config_groups")).values():
        found = table(table(group).get("input_activations"))
        if found:
            when = "dynamic" if found.get("dynamic") else "static"
            return f"{found.get('num_bits')}-bit {found.get('type', 'int')}, {when} scales"
    return ""


FORMAT = Format("compressed-tensors", plan, claim, activations)
