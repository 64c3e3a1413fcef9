"""The rotation that a GGUF file asks for, as llama.cpp computes it, in the words of a release's configuration."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from harness.errors import TargetRefused
from harness.targets.gguf_file import GgufFile, GgufTensor

#: llama.cpp's bases where a file says nothing: of all layers, and of those with a sliding window.
_BASE = _BASE_OF_WINDOWS = 10_000.0
KEYS = (
    "rope.freq_base", "rope.freq_base_swa", "rope.dimension_count", "rope.scale_linear", "rope.scaling.type",
    "rope.scaling.factor", "rope.scaling.original_context_length", "rope.scaling.finetuned",
    "rope.scaling.attn_factor", "rope.scaling.yarn_ext_factor", "rope.scaling.yarn_attn_factor",
    "rope.scaling.yarn_beta_fast", "rope.scaling.yarn_beta_slow",
)  # fmt: skip
TENSORS = ("rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight")


def rope_parameters(file: GgufFile, head: int, *, partial: bool) -> dict[str, Any]:
    """``rope_parameters`` of a family without windows; raises TargetRefused for rules that cannot be said so."""
    turning = int(file.number("rope.dimension_count", head))
    if turning != head and not partial:
        raise _refused(file, f"rope.dimension_count is {turning} where heads are {head} wide")
    rope: dict[str, Any] = {"rope_theta": float(file.number("rope.freq_base", _BASE)), "rope_type": "default"}
    if turning != head:
        rope["partial_rotary_factor"] = turning / head
    return rope | _scaling(file, turning)


def rope_of_windows(file: GgufFile) -> dict[str, Any]:
    """``rope_parameters`` of the layers with a sliding window in families that turn them by a base of their own."""
    return {"rope_type": "default", "rope_theta": float(file.number("rope.freq_base_swa", _BASE_OF_WINDOWS))}


def _scaling(file: GgufFile, turning: int) -> dict[str, Any]:
    kind = str(file.stated("rope.scaling.type") or "linear")  # llama.cpp's choice where only a factor is given
    factor = file.number("rope.scaling.factor") or file.number("rope.scale_linear") or 1.0
    first = int(file.number("rope.scaling.original_context_length") or file.number("context_length"))
    attention = file.number("rope.scaling.attn_factor", 1.0) or 1.0
    plain, longs, shorts = (_factors(file, name, turning) for name in TENSORS)
    if kind not in {"none", "linear", "yarn", "longrope"}:
        raise _refused(file, f"rope.scaling.type is {kind!r}")
    if kind == "none":
        factor = 1.0
    if kind == "yarn":
        if plain or longs or shorts:
            raise _refused(file, "yarn scaling stands beside factors of its own")
        return _yarn(file, factor, first, attention)
    if bool(longs) != bool(shorts) or (longs and plain):
        raise _refused(file, "one of the two sets of long-context factors is missing, or a third stands beside them")
    if kind == "longrope" and (not longs or factor != 1):
        raise _refused(file, "longrope scaling needs its two sets of factors, and no factor beside them")
    if not longs and not plain and attention == 1:
        return {"rope_type": "linear", "factor": factor} if factor != 1 else {}
    # any set of factors: this rule divides each frequency by one, and one for all lengths if both sets are the same
    ones = [1.0] * (turning // 2)
    sets = [[value * factor for value in values or plain or ones] for values in (shorts, longs)]
    return {
        "rope_type": "longrope",
        "short_factor": sets[0],
        "long_factor": sets[1],
        "factor": 1.0,
        "attention_factor": attention,
        "original_max_position_embeddings": first,
    }


def _yarn(file: GgufFile, factor: float, first: int, attention: float) -> dict[str, Any]:
    """llama.cpp multiplies the rotation by 1 + 0.1 ln(factor), and by what the file states beside it."""
    mixed = file.number("rope.scaling.yarn_ext_factor", 1.0)
    if mixed not in {1.0, -1.0}:
        raise _refused(file, f"rope.scaling.yarn_ext_factor is {mixed}")
    stated = file.number("rope.scaling.yarn_attn_factor", 1.0)
    grown = 1.0 if factor <= 1 else 0.1 * math.log(factor) + 1.0
    rope: dict[str, Any] = {
        "rope_type": "yarn",
        "factor": factor,
        "original_max_position_embeddings": first,
        "attention_factor": grown * attention * (stated if stated > 0 else 1.0),
    }
    for key, name in (("yarn_beta_fast", "beta_fast"), ("yarn_beta_slow", "beta_slow")):
        value = file.number(f"rope.scaling.{key}", -1.0)
        if value > 0:
            rope[name] = value
    return rope


def _factors(file: GgufFile, name: str, turning: int) -> list[float]:
    """The numbers of a tensor of factors; empty where the file has none."""
    tensor = file.tensor(name)
    if tensor is None:
        return []
    if tensor.kind != "F32" or tensor.count != turning // 2:
        raise _refused(
            file, f"{name} holds {tensor.count} numbers of type {tensor.kind} for {turning // 2} frequencies"
        )
    return _numbers(tensor)


def _numbers(tensor: GgufTensor) -> list[float]:
    with tensor.file.open("rb") as handle:
        handle.seek(tensor.start)
        return [float(str(value)) for value in np.frombuffer(handle.read(tensor.size), dtype="<f4")]


def _refused(file: GgufFile, what: str) -> TargetRefused:
    return TargetRefused(
        f"the rotation of this GGUF file cannot be computed here: {what}",
        where=str(file.parts[0]),
        fix="serve the file with llama.cpp and give the server's address as the candidate",
    )
