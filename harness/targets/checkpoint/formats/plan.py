"""From what a folder declares and holds to a plan of dense tensors, or a refusal by the format's name; reads no values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from harness.errors import BrokenCheckpoint
from harness.targets.checkpoint.formats.model import Format, Part, Settings, Stored, table
from harness.targets.checkpoint.formats.registry import NOT_READ, method_of, resolve
from harness.targets.checkpoint.json_files import read_json

#: Files beside config.json that declare a quantization: ModelOpt's, AutoGPTQ's, AutoAWQ's.
DECLARING = ("hf_quant_config.json", "quantize_config.json", "quant_config.json")
WAY_OUT = (
    "serve it with an engine that reads it and give the address (http://HOST:PORT/v1#MODEL), or give an unpacked copy"
)

_CODES = {"F8_E4M3", "F8_E5M2", "F8_E8M0", "I8", "U8", "F4", "F6_E2M3", "F6_E3M2"}
_WORDS = {"I32", "U32", "I16", "U16"}
_CODE_NAMES = re.compile(r"(^|[._])(weight|qweight|qdata|weight_packed|W_q|compressed|bitmask|blocks)$")
#: Masks and counters that old checkpoints carry as bytes or whole numbers.
_BUFFERS = re.compile(
    r"(attn\.(masked_)?bias|masked_bias|attention\.bias|position_ids|num_batches_tracked|_mask|\.mask)$"
)
_ACTIVATIONS = re.compile(
    r"[._](input_scale|input_global_scale|input_zero_point|input_scale_ub|activation_scale|act_scale|act_scales"
    r"|act_quant_scale|act_quant_zero_point|act_per_tensor_scale|output_activation_scale)$|\.output_scale$"
)
_CACHE = re.compile(
    r"([._][qkv]_scale|[._]kv_scale|[._][kv]_zero_point|[._][kv]_cache_scale|[._][kv]_proj\.output_scale)$"
)


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a folder says of its quantization, and which file says so; empty settings where none does."""

    settings: Settings
    file: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """How the tensors of a folder become dense: parts of codes, tensors as they lie, and scales that are not applied."""

    format: Format | None
    declaration: Declaration
    parts: tuple[Part, ...]
    plain: tuple[str, ...]
    activations: str = ""  # in words, empty where the file rounds none
    cache: str = ""


def read_declaration(folder: Path, config: dict[str, JsonValue]) -> Declaration:
    """The settings of the quantization, from config.json or from the files beside it."""
    for place in (config, table(config.get("text_config")), table(config.get("llm_config"))):
        for key in ("quantization_config", "compression_config"):
            settings = table(place.get(key))
            if settings:
                return Declaration(settings, "config.json")
    for name in DECLARING:
        settings = read_json(folder / name)
        if settings:
            return Declaration(settings, name)
    return Declaration(table(config.get("quantization")), "config.json" if config.get("quantization") else "")


def make_plan(stored: Stored, declaration: Declaration) -> Plan:
    """Decide how every tensor is read; raises BrokenCheckpoint for what cannot be read exactly."""
    settings = declaration.settings
    found = resolve(stored, settings)
    if settings and found is None:
        raise _unread(settings, stored, declaration)
    parts = found.plan(stored, settings) if found else []
    used = {source for part in parts for source in part.sources}
    plain = tuple(name for name in stored.entries if name not in used)
    rounding = [name for name in plain if _ACTIVATIONS.search(name)]
    cached = [name for name in plain if _CACHE.search(name)]
    left = [name for name in plain if _is_code(stored, name)]
    if left:
        raise _codes_left(left, stored, found, declaration)
    if found and not parts and settings:
        raise BrokenCheckpoint(
            f"{declaration.file} declares {found.name}, but no tensor is stored so",
            where=stored.where,
            fix=f"if the weights are meant as they lie, take the quantization out of {declaration.file}; if not, fetch the "
            "release's own files",
        )
    aside = {*rounding, *cached}
    activations = found.activations(settings) if found else ""
    if rounding and not activations:
        activations = f"{len(rounding)} scales of activations ({rounding[0]})"
    return Plan(
        found, declaration, tuple(parts), tuple(name for name in plain if name not in aside), activations,
        _cache_words(settings, cached),
    )  # fmt: skip


def _cache_words(settings: Settings, scales: list[str]) -> str:
    scheme = table(settings.get("kv_cache_scheme"))
    inner = table(settings.get("quantization"))
    algorithm = settings.get("kv_cache_quant_algo") or inner.get("kv_cache_quant_algo")
    if scheme:
        return f"{scheme.get('num_bits')}-bit {scheme.get('type', 'int')}"
    if algorithm:
        return str(algorithm)
    if settings.get("kv_cache_dtype"):
        return str(settings["kv_cache_dtype"])
    return f"{len(scales)} scales of keys and values ({scales[0]})" if scales else ""


def _is_code(stored: Stored, name: str) -> bool:
    entry = stored.entries[name]
    if _BUFFERS.search(name) or _ACTIVATIONS.search(name) or _CACHE.search(name):
        return False
    if entry.dtype in _CODES:
        return len(entry.shape) >= 2 or bool(_CODE_NAMES.search(name))
    return entry.dtype in _WORDS and bool(_CODE_NAMES.search(name))


def _unread(settings: Settings, stored: Stored, declaration: Declaration) -> BrokenCheckpoint:
    method = method_of(settings)
    known = NOT_READ.get(method)
    what = f"in {known}'s format" if known else f"quantized by a method that is unknown here ('{method or '?'}')"
    return BrokenCheckpoint(
        f"this checkpoint is {what}, which is not read", where=f"{stored.where} ({declaration.file})", fix=WAY_OUT
    )


def _codes_left(left: list[str], stored: Stored, found: Format | None, declaration: Declaration) -> BrokenCheckpoint:
    entry = stored.entries[left[0]]
    named = f"{found.name} ({declaration.file})" if found and declaration.file else "no file that names their format"
    return BrokenCheckpoint(
        f"{len(left)} tensors are codes whose scales are not known here: {left[0]} ({entry.dtype}, {list(entry.shape)}), "
        f"under {named}",
        where=stored.where,
        fix="codes without their scales are no weights; fetch the release's quantization config (config.json, "
        f"{', '.join(DECLARING)}), or {WAY_OUT}",
    )
