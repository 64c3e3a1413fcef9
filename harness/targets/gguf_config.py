"""What a GGUF file says about its model, in the words of a release's config.json; nothing in it is passed over."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

from harness.errors import BrokenCheckpoint, TargetRefused
from harness.targets.gguf_families import FAMILIES, LAYERS, MISTRAL, MIXTRAL, Family
from harness.targets.gguf_file import FLOATS, GgufFile
from harness.targets.gguf_rope import KEYS as ROPE_KEYS
from harness.targets.gguf_rope import TENSORS as ROPE_TENSORS
from harness.targets.gguf_rope import rope_of_windows, rope_parameters

_SERVE = "serve the file with llama.cpp and give the server's address as the candidate"
_HEADS = ("attention.key_length", "attention.value_length")
#: Fields that llama.cpp reads and that compute nothing here, or nothing at these values.
_INERT = {
    "vocab_size", "rope.scaling.finetuned", "tensor_data_layout", "pooling_type", "use_parallel_residual",
    "leading_dense_block_count", "interleave_moe_layer_step", "nextn_predict_layers",
}  # fmt: skip
_SAYS_NOTHING: dict[str, tuple[JsonValue, ...]] = {
    "attention.causal": (True,), "use_parallel_residual": (True,), "attention.sliding_window": (0,),
    "expert_count": (0,), "expert_used_count": (0,), "expert_shared_count": (0,), "expert_group_count": (0, 1),
    "expert_group_used_count": (0, 1), "expert_weights_scale": (0, 1), "expert_gating_func": (0,),
    "logit_scale": (0, 1), "residual_scale": (0, 1), "embedding_scale": (0, 1), "attention.scale": (0,),
    "attn_logit_softcapping": (0,), "final_logit_softcapping": (0,), "attention.max_alibi_bias": (0,),
    "attention.clamp_kqv": (0,), "leading_dense_block_count": (0,), "interleave_moe_layer_step": (0, 1),
    "nextn_predict_layers": (0,), "expert_feed_forward_length": (0,), "expert_shared_feed_forward_length": (0,),
}  # fmt: skip
_SHAPES_OF_EXPERTS = {"expert_feed_forward_length", "expert_shared_feed_forward_length", "expert_shared_count"}
_GATING = {"minimax-m2": (2,), "qwen2moe": (1,), "qwen3moe": (1,), "olmoe": (1,), "llama": (1,)}
_NORMED = {"llama": True, "qwen2moe": False, "qwen3moe": True, "olmoe": False, "minimax-m2": True}
_LARGEST_GEMMA2, _LARGEST_GEMMA3 = 46, 62  # layers of the two that divide by another number
_GEMMA3_PERIOD = 6
_BLOCK = re.compile(r"^blk\.(\d+)\.(.+)$")


@dataclass(frozen=True, slots=True)
class Translated:
    """A file's model: its family, the configuration that computes it, and where each tensor belongs.

    ``names`` gives for each tensor of the file its name in a release; ``{e}`` stands for the number of an expert.
    """

    family: Family
    config: dict[str, Any]
    names: dict[str, str]


def translate(file: GgufFile) -> Translated:
    """Read a file's model; raises TargetRefused naming whatever would compute and cannot be applied."""
    family = _family(file)
    names = _names(file, family)
    config: dict[str, Any] = {"model_type": family.model_type, "architectures": [family.architecture]}
    config |= dict(family.fixed) | dict(family.silent)
    for key, name in family.fields.items():
        value = _plain(file, key)
        if name and value is not None and not (value == 0 and name in family.silent):
            config[name] = value
    _require(file, family, config)
    config["vocab_size"] = _vocabulary(file)
    config["tie_word_embeddings"] = file.tensor("output.weight") is None
    config |= {name: file.tensor(f"blk.0.{tensor}") is not None for name, tensor in family.biases.items()}
    config |= _tokens(file)
    _rest(file, family, config)
    _refuse_leftovers(file, family)
    return Translated(family, config, names)


def _family(file: GgufFile) -> Family:
    family = FAMILIES.get(file.architecture)
    if family is None:
        raise TargetRefused(
            f"GGUF files of the architecture {file.architecture!r} are not read here",
            where=str(file.parts[0]),
            fix=_SERVE,
        )
    if file.architecture == "llama" and file.stated("expert_count"):
        return MIXTRAL
    return MISTRAL if file.architecture == "llama" and file.stated("attention.sliding_window") else family


def _names(file: GgufFile, family: Family) -> dict[str, str]:
    """The name of each tensor in a release; raises TargetRefused for tensors that the family does not have."""
    layers = LAYERS.get(file.architecture, "model.layers.{n}.")
    found: dict[str, str] = {}
    unknown = []
    for tensor in file.tensors:
        if tensor.name in ROPE_TENSORS or tensor.name.endswith("attn_rot_embd"):
            continue
        block = _BLOCK.match(tensor.name)
        stem, _, suffix = (block[2] if block else tensor.name).rpartition(".")
        known = (family.blocks if block else family.tops).get(stem)
        if known is None or suffix not in {"weight", "bias"}:
            unknown.append(tensor.name)
            continue
        prefix = layers.format(n=block[1]) if block else ""
        bare = known.endswith("e_score_correction_bias")
        found[tensor.name] = prefix + known + ("" if bare else f".{suffix}")
    if unknown:
        raise TargetRefused(
            f"{len(unknown)} tensors of this GGUF file are not known for {file.architecture} and would not be applied "
            f"({', '.join(unknown[:3])})",
            where=str(file.parts[0]),
            fix=_SERVE,
        )
    return found


def _plain(file: GgufFile, key: str) -> Any:
    """A field that is a number; lists that say the same of every layer become one."""
    value = file.stated(key)
    if isinstance(value, list):
        if len(set(map(str, value))) != 1:
            raise TargetRefused(
                f"{file.architecture}.{key} differs from layer to layer, which cannot be computed here",
                where=str(file.parts[0]),
                fix=_SERVE,
            )
        return value[0]
    return value


def _require(file: GgufFile, family: Family, config: dict[str, Any]) -> None:
    absent = [
        key
        for key in ("block_count", "embedding_length", "attention.head_count", "context_length")
        if file.stated(key) is None
    ]
    epsilon = [name for key, name in family.fields.items() if "epsilon" in key]
    if absent or not any(name in config for name in epsilon):
        raise BrokenCheckpoint(
            f"the file does not state {', '.join(absent) or 'the epsilon of its norms'}",
            where=str(file.parts[0]),
            fix="convert the model again with a current llama.cpp",
        )
    if "num_attention_heads" in config:
        config.setdefault("num_key_value_heads", config["num_attention_heads"])


def _vocabulary(file: GgufFile) -> int:
    """Rows of the embedding: files list a word for each, and some have more rows than words."""
    table = file.tensor("token_embd.weight")
    if table is None:
        raise BrokenCheckpoint("the file has no token_embd.weight", where=str(file.parts[0]), fix="fetch it again")
    return table.shape[0]


def _tokens(file: GgufFile) -> dict[str, Any]:
    named = {"bos_token_id": "bos_token_id", "eos_token_id": "eos_token_id", "padding_token_id": "pad_token_id"}
    found = {name: file.metadata.get(f"tokenizer.ggml.{key}") for key, name in named.items()}
    return {name: value for name, value in found.items() if isinstance(value, int)}


def _rest(file: GgufFile, family: Family, config: dict[str, Any]) -> None:
    """Heads, rotation, windows and the divisor of attention: what follows from several fields."""
    heads = file.number("attention.head_count") if not isinstance(file.stated("attention.head_count"), list) else 0
    count = int(heads or _plain(file, "attention.head_count"))
    derived = int(file.number("embedding_length")) // count
    head, values = (int(file.number(key, derived)) for key in _HEADS)
    if head != values:
        raise TargetRefused(
            f"keys are {head} and values {values} wide, which cannot be computed here",
            where=str(file.parts[0]),
            fix=_SERVE,
        )
    if file.architecture == "gpt2":
        return
    config["head_dim"] = head
    rope = rope_parameters(file, head, partial=family.partial)
    layers = int(file.number("block_count"))
    if file.architecture == "gemma2":
        config["query_pre_attn_scalar"] = derived if layers == _LARGEST_GEMMA2 else head
        config["layer_types"] = _windows(layers, 2)
    if file.architecture == "gemma3":
        config["query_pre_attn_scalar"] = derived if layers == _LARGEST_GEMMA3 else head
        config["layer_types"] = _windows(layers, _period(file))
        rope = {"full_attention": rope, "sliding_attention": rope_of_windows(file)}
    if file.architecture == "granite" and "attention_multiplier" not in config:
        config["attention_multiplier"] = head**-0.5
    if file.architecture == "phi3":
        first = int(file.number("rope.scaling.original_context_length") or file.number("context_length"))
        config["original_max_position_embeddings"] = first
    if file.architecture in {"qwen2moe", "qwen3moe"}:
        width = file.tensor("blk.0.ffn_gate_exps.weight")
        config.setdefault("moe_intermediate_size", width.shape[1] if width else 0)
        shared = file.tensor("blk.0.ffn_gate_shexp.weight")
        if shared:
            config["shared_expert_intermediate_size"] = shared.shape[0]
    if file.architecture == "minimax-m2":
        config["rotary_dim"] = int(file.number("rope.dimension_count", head))
    config["rope_parameters"] = rope


def _windows(layers: int, period: int) -> list[str]:
    return ["full_attention" if (i + 1) % period == 0 else "sliding_attention" for i in range(layers)]


def _period(file: GgufFile) -> int:
    stated = file.stated("attention.sliding_window_pattern")
    if isinstance(stated, list):
        raise TargetRefused(
            f"{file.architecture}.attention.sliding_window_pattern lists layers one by one, which is not read here",
            where=str(file.parts[0]),
            fix=_SERVE,
        )
    return int(stated) if isinstance(stated, int) and stated else _GEMMA3_PERIOD


def _refuse_leftovers(file: GgufFile, family: Family) -> None:
    """Refuse by name the fields that would compute and were not applied."""
    applied = {*family.fields, *ROPE_KEYS, *_HEADS, "vocab_size"}
    if file.architecture == "gemma3":
        applied.add("attention.sliding_window_pattern")
    else:
        applied.discard("rope.freq_base_swa")
    left = []
    for name, value in file.metadata.items():
        key = name.removeprefix(f"{file.architecture}.")
        if key == name or key in applied or _says_nothing(file, key, value):
            continue
        left.append(f"{name} = {str(value)[:40]}")
    if left:
        raise TargetRefused(
            f"{len(left)} fields of this GGUF file would compute and cannot be applied here ({', '.join(left[:3])})",
            where=str(file.parts[0]),
            fix=_SERVE,
        )


def _says_nothing(file: GgufFile, key: str, value: Any) -> bool:
    if key == "expert_gating_func" and value in _GATING.get(file.architecture, ()):
        return True
    if key == "expert_weights_norm":
        return bool(_NORMED.get(file.architecture) == value)
    if key in _SHAPES_OF_EXPERTS and file.stated("expert_count"):
        return True  # the tensors have the shape
    if key in _SAYS_NOTHING:
        return value in _SAYS_NOTHING[key]
    return key in _INERT


def main_kind(file: GgufFile) -> str:
    """The tensor type that most weights are stored in."""
    sizes: dict[str, int] = {}
    for tensor in file.tensors:
        sizes[tensor.kind] = sizes.get(tensor.kind, 0) + tensor.count
    return max(sizes, key=lambda kind: (sizes[kind], kind not in FLOATS))
