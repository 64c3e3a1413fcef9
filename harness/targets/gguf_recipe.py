"""Which tensor type llama.cpp's quantizer gives to each tensor: what a name such as Q4_K_M stands for.

Facts of llama.cpp as it was in 2026. A name is a recipe: most tensors get one type, some of them more bits by their
role and their layer, and rows that a type cannot store fall back to another.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from harness.targets.gguf_file import TYPES, GgufFile

#: Names by their number in ``general.file_type``, and the type that most tensors get.
FILE_TYPES: dict[int, tuple[str, str]] = {
    0: ("F32", "F32"), 1: ("F16", "F16"), 2: ("Q4_0", "Q4_0"), 3: ("Q4_1", "Q4_1"), 7: ("Q8_0", "Q8_0"),
    8: ("Q5_0", "Q5_0"), 9: ("Q5_1", "Q5_1"), 10: ("Q2_K", "Q2_K"), 11: ("Q3_K_S", "Q3_K"), 12: ("Q3_K_M", "Q3_K"),
    13: ("Q3_K_L", "Q3_K"), 14: ("Q4_K_S", "Q4_K"), 15: ("Q4_K_M", "Q4_K"), 16: ("Q5_K_S", "Q5_K"),
    17: ("Q5_K_M", "Q5_K"), 18: ("Q6_K", "Q6_K"), 19: ("IQ2_XXS", "IQ2_XXS"), 20: ("IQ2_XS", "IQ2_XS"),
    21: ("Q2_K_S", "Q2_K"), 22: ("IQ3_XS", "IQ3_S"), 23: ("IQ3_XXS", "IQ3_XXS"), 24: ("IQ1_S", "IQ1_S"),
    25: ("IQ4_NL", "IQ4_NL"), 26: ("IQ3_S", "IQ3_S"), 27: ("IQ3_M", "IQ3_S"), 28: ("IQ2_S", "IQ2_XS"),
    29: ("IQ2_M", "IQ2_S"), 30: ("IQ4_XS", "IQ4_XS"), 31: ("IQ1_M", "IQ1_M"), 32: ("BF16", "BF16"),
    36: ("TQ1_0", "TQ1_0"), 37: ("TQ2_0", "TQ2_0"), 38: ("MXFP4_MOE", "MXFP4"), 39: ("NVFP4", "NVFP4"),
}  # fmt: skip
RECIPES: dict[str, str] = {name: kind for name, kind in FILE_TYPES.values() if kind not in {"F32", "F16", "BF16"}}

#: Types that llama.cpp makes with an importance matrix only, and recipes that it refuses to follow without one.
NEEDS_IMPORTANCE = frozenset({"IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ2_M", "IQ3_XXS", "Q2_K_S"})
_FALLBACKS = {
    **dict.fromkeys(("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ4_XS"), "IQ4_NL"),
    **dict.fromkeys(("Q2_K", "Q3_K", "TQ1_0", "TQ2_0"), "Q4_0"),
    "Q4_K": "Q5_0",
    "Q5_K": "Q5_1",
    "Q6_K": "Q8_0",
}
_KEPT = (
    "_norm.weight", "ffn_gate_inp.weight", "ffn_gate_tid2eid.weight", "altup", "laurel", "per_layer_model_proj",
    "ssm_conv1d", "shortconv.conv.weight", "indexer.k_proj.weight", "indexer.q_proj.weight", "attn_rel_b.weight",
    "time_mix_first.weight", "time_mix_w0.weight", "time_mix_w1.weight", "time_mix_w2.weight",
    ".position_embd", ".patch_embd", ".rel_pos",
)  # fmt: skip
_NEVER = {"position_embd.weight", "token_types.weight"}
_SMALL_IQ = {"IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ2_M", "IQ1_S", "IQ1_M"}
_LARGER_IQ2 = {"IQ2_S", "IQ2_M"}
_BLOCK = re.compile(r"^blk\.(\d+)\.")
_ROLES = (
    ("attn_qkv.weight", "qkv"), ("attn_kv_b.weight", "kv_b"), ("attn_v.weight", "v"), ("attn_k.weight", "k"),
    ("attn_q.weight", "q"), ("attn_output.weight", "o"), ("ffn_up", "up"), ("ffn_gate", "gate"), ("ffn_down", "down"),
)  # fmt: skip
_LIKE_V = {"v", "qkv", "kv_b"}
_WIDE_LAYERS = 80  # the models that llama.cpp calls 70B have so many


@dataclass(frozen=True, slots=True)
class Layout:
    """What a recipe depends on: family, layers, how many heads of queries share one of keys, and experts."""

    architecture: str
    layers: int
    shared_heads: int
    experts: int = 0


@dataclass(slots=True)
class _State:
    layout: Layout
    name: str
    importance: bool
    tied: bool
    values: int  # tensors in the role of values
    seen: dict[str, int] = field(default_factory=lambda: {"v": 0, "down": 0, "gate": 0, "up": 0})


def layout_of(file: GgufFile) -> Layout:
    """The layout that a file's metadata state."""
    heads, keys = (_most(file.stated(f"attention.{name}")) for name in ("head_count", "head_count_kv"))
    return Layout(
        file.architecture,
        int(file.number("block_count")),
        heads // (keys or heads or 1),
        int(file.number("expert_count")),
    )


def _most(value: Any) -> int:
    return int(max(value) if isinstance(value, list) else value or 0)


def recipe(
    name: str, tensors: Iterable[tuple[str, tuple[int, ...]]], layout: Layout, *, importance: bool = False
) -> dict[str, str]:
    """The type of each tensor that is quantized, by its name in the file.

    Args:
        name: of the recipe, such as ``Q4_K_M``.
        tensors: all tensors of the model with their shapes, rows along the last axis.
        layout: of the model.
        importance: whether an importance matrix is used; some recipes give fewer bits then.

    """
    found = sorted(tensors, key=lambda entry: (_layer(entry[0]), entry[0]))
    roles = {tensor: _role(tensor) for tensor, _ in found}
    state = _State(
        layout,
        name,
        importance,
        tied=all(tensor != "output.weight" for tensor, _ in found),
        values=sum(role in _LIKE_V for role in roles.values()),
    )
    types = {}
    for tensor, shape in found:
        if not _quantized(tensor, shape):
            continue
        kind = _chosen(state, tensor, shape, roles[tensor])
        types[tensor] = stored_as(kind, shape[-1])
    return types


def stored_as(kind: str, width: int) -> str:
    """A type that can store rows of this width: the wanted one, or what llama.cpp falls back to."""
    if width % TYPES[kind][1] == 0:
        return kind
    other = _FALLBACKS.get(kind, "F16")
    return other if width % TYPES[other][1] == 0 else "F16"


def _layer(name: str) -> int:
    found = _BLOCK.match(name)
    return int(found[1]) if found else -1


def _role(name: str) -> str:
    if name == "output.weight":
        return "output"
    if name in {"token_embd.weight", "per_layer_token_embd.weight"}:
        return "embedding"
    return next((role for part, role in _ROLES if part in name), "")


def _quantized(name: str, shape: tuple[int, ...]) -> bool:
    axes = len(shape) - next((i for i, length in enumerate(shape) if length > 1), len(shape))
    return axes >= 2 and name.endswith("weight") and name not in _NEVER and not any(part in name for part in _KEPT)


def _more_bits(place: int, count: int) -> bool:
    return place < count // 8 or place >= 7 * count // 8 or (place - count // 8) % 3 == 2


def _chosen(state: _State, tensor: str, shape: tuple[int, ...], role: str) -> str:
    kind = RECIPES[state.name]
    if role == "output" or (role == "embedding" and state.tied):
        return _output(state, kind, shape[-1])
    if state.name == "MXFP4_MOE":
        return "MXFP4" if len(shape) > 2 and shape[0] > 1 else "Q8_0"
    if role == "embedding":
        return _embedding(state.name, kind)
    if state.name in _SMALL_IQ:
        return _small(state, kind, role)
    if role in _LIKE_V:
        return _values(state, kind)
    if role in {"k", "q"}:
        return _keys(state, kind, role)
    if role == "down":
        return _down(state, kind, tensor)
    if role == "o":
        return _attention_output(state, kind)
    if role in {"gate", "up"}:
        place = _place(state, role, tensor)
        count = state.layout.layers
        return "IQ3_XXS" if state.name == "IQ3_XS" and count // 8 <= place < 7 * count // 8 else kind
    return kind


def _output(state: _State, kind: str, width: int) -> str:
    if state.name == "MXFP4_MOE" or state.layout.architecture == "falcon" or width % TYPES[kind][1]:
        return "Q8_0"
    if state.name in _SMALL_IQ | {"IQ3_XXS"}:
        return "Q5_K"
    return kind if kind == "Q8_0" else "Q6_K"


def _embedding(name: str, kind: str) -> str:
    if name in _SMALL_IQ - _LARGER_IQ2:
        return "Q2_K"
    if name in _LARGER_IQ2 | {"IQ3_XXS"}:
        return "IQ3_S"
    return "Q4_K" if name in {"TQ1_0", "TQ2_0"} else kind


def _small(state: _State, kind: str, role: str) -> str:
    experts, larger = state.layout.experts, state.name in _LARGER_IQ2
    if role in _LIKE_V:
        if state.layout.shared_heads >= 4 or experts >= 4:
            return "Q4_K"
        return "IQ3_S" if larger else "Q2_K"
    if role == "k" and experts == 8:
        return "Q4_K"
    if role == "down":
        place = state.seen["down"]
        state.seen["down"] += 1
        if place < state.layout.layers // 8:
            return "IQ3_S" if larger else "Q2_K"
    if role == "o":
        if experts == 8:
            return "Q5_K"
        if state.name in {"IQ1_S", "IQ1_M"}:
            return "IQ2_XXS"
        return "IQ3_S" if larger else kind
    return kind


def _values(state: _State, kind: str) -> str:
    name, place = state.name, state.seen["v"]
    many = state.layout.shared_heads >= 4
    state.seen["v"] += 1
    if name == "Q2_K":
        kind = "Q4_K" if many else "Q3_K"
    elif name == "IQ3_XXS":
        kind = "Q4_K" if many else "IQ3_XXS" if state.importance else "IQ3_S"
    elif (name in {"Q2_K_S", "IQ3_XS", "IQ3_S"} and many) or name == "IQ3_M":
        kind = "Q4_K"
    elif name == "Q3_K_M":
        kind = "Q5_K" if place < 2 else "Q4_K"
    elif name == "Q3_K_L" or (name in {"IQ4_NL", "IQ4_XS"} and many) or (name == "Q4_K_S" and place < 4):
        kind = "Q5_K"
    elif name in {"Q4_K_M", "Q5_K_M"} and _more_bits(place, state.values):
        kind = "Q6_K"
    wide = state.layout.architecture in {"llama", "qwen2"} and state.layout.layers == _WIDE_LAYERS
    if wide and (many or state.layout.architecture == "qwen2") and kind in {"Q3_K", "Q4_K"}:
        kind = "Q5_K"
    return "Q8_0" if state.layout.experts == 8 else kind


def _keys(state: _State, kind: str, role: str) -> str:
    if role == "k" and state.layout.experts == 8:
        return "Q8_0"
    return {"IQ3_XS": "IQ3_XXS", "IQ3_XXS": "IQ2_S"}.get(state.name, kind)


def _place(state: _State, role: str, tensor: str) -> int:
    """Files of experts are counted by their layer, others in the order of the file."""
    place = state.seen[role]
    state.seen[role] += 1
    return _layer(tensor) if state.layout.experts > 1 else place


def _down(state: _State, kind: str, tensor: str) -> str:
    name, count = state.name, state.layout.layers
    place = _place(state, "down", tensor)
    falcon = state.layout.architecture == "falcon"
    early, more = place < count // 8, _more_bits(place, count)
    if name == "Q2_K":
        return "Q3_K"
    if name == "IQ3_XXS" and not state.importance:
        return "Q4_K" if early else "Q3_K"
    if name == "Q3_K_M":
        if place < count // 16:
            return "Q5_K"
        return "Q4_K" if not falcon or more else "Q3_K"
    if name == "Q3_K_L":
        return "Q4_K" if falcon else "Q5_K"
    if name == "Q4_K_M" and falcon:
        return "Q6_K" if place < count // 16 else "Q5_K" if more else "Q4_K"
    if name in {"Q4_K_M", "Q5_K_M"}:
        return "Q6_K" if more else kind
    if name == "IQ3_M" and (early or (state.layout.experts == 8 and more)):
        return "Q4_K"
    if not early:
        return kind
    if (name in {"IQ4_NL", "IQ4_XS"} and not state.importance) or (name == "Q4_K_S" and not falcon):
        return "Q5_K"
    if name == "Q2_K_S":
        return "Q4_K"
    return {"Q4_0": "Q4_1", "Q5_0": "Q5_1"}.get(name, kind) if state.importance else kind


def _attention_output(state: _State, kind: str) -> str:
    name = state.name
    if state.layout.architecture == "falcon":
        return "Q4_K" if name == "Q3_K_L" else kind
    if state.layout.experts == 8:
        bumped = {
            "Q2_K",
            "IQ3_XS",
            "IQ3_XXS",
            "Q3_K_S",
            "Q3_K_M",
            "IQ4_NL",
            "Q4_K_S",
            "Q4_K_M",
            "IQ3_S",
            "IQ3_M",
            "IQ4_XS",
        }
        return "Q5_K" if name in bumped else kind
    chosen = {"Q2_K": "Q3_K", "IQ3_XXS": "IQ3_S", "Q3_K_M": "Q4_K", "Q3_K_L": "Q5_K", "IQ3_M": "Q4_K"}
    return chosen.get(name, kind)
