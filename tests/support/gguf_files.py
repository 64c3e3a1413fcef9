"""Small GGUF files of toy checkpoints, in the layout that llama.cpp's converter writes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

_LEAVES = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}  # fmt: skip
_TOPS = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}


def write_gguf(
    folder: Path,
    out: Path,
    kind: str | Callable[[str], str] = "F16",
    *,
    fields: Mapping[str, Any] | None = None,
    tensors: Mapping[str, list[float]] | None = None,
    file_type: int | None = 1,
    general: str = "model",
) -> Path:
    """A toy Llama as a GGUF file; ``fields`` adds metadata or, with None, leaves it out, ``tensors`` adds 1-D tensors."""
    import gguf
    from safetensors.torch import load_file

    config = json.loads((folder / "config.json").read_text())
    heads, keys = config["num_attention_heads"], config["num_key_value_heads"]
    rope = config.get("rope_parameters") or {}
    width = config.get("head_dim") or config["hidden_size"] // heads
    writer = gguf.GGUFWriter(str(out), "llama")
    writer.add_type(general)
    if file_type is not None:
        writer.add_file_type(file_type)
    stated: dict[str, Any] = {
        "context_length": config["max_position_embeddings"],
        "embedding_length": config["hidden_size"],
        "block_count": config["num_hidden_layers"],
        "feed_forward_length": config["intermediate_size"],
        "attention.head_count": heads,
        "attention.head_count_kv": keys,
        "attention.layer_norm_rms_epsilon": config["rms_norm_eps"],
        "rope.dimension_count": width,
        "rope.freq_base": float(rope.get("rope_theta", 10000.0)),
        "vocab_size": config["vocab_size"],
    } | dict(fields or {})
    for name, value in stated.items():
        if value is None:
            continue
        key = name if name.startswith(("general.", "split.", "adapter.")) else f"llama.{name}"
        if isinstance(value, bool):
            writer.add_bool(key, value)
        elif isinstance(value, float):
            writer.add_float32(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value)
        else:
            writer.add_string(key, value)
    _vocabulary(writer, folder, config)
    for name, values in (tensors or {}).items():
        writer.add_tensor(name, np.array(values, dtype=np.float32))
    for name, tensor in load_file(folder / "model.safetensors").items():
        values = tensor.float().numpy()
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            values = _interleaved(values, heads if "q_proj" in name else keys)
        target = _TOPS.get(name) or _in_block(name)
        wanted = "F32" if values.ndim < 2 else kind(target) if callable(kind) else kind
        _add(writer, target, values, wanted)
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file, writer.close):
        step()
    return out


def _add(writer: Any, name: str, values: Any, kind: str) -> None:
    import gguf

    from harness.targets.checkpoint.ggml import IN_PYTHON, quantized

    number = gguf.GGMLQuantizationType[kind]
    if kind == "F32":
        writer.add_tensor(name, values.astype(np.float32))
    elif kind == "F16":
        writer.add_tensor(name, values.astype(np.float16))
    elif kind in {*IN_PYTHON, "BF16"}:
        writer.add_tensor(name, gguf.quants.quantize(values, number), raw_dtype=number)
    else:
        writer.add_tensor(name, quantized(np.ascontiguousarray(values), kind), raw_dtype=number)


def _interleaved(values: Any, heads: int) -> Any:
    halves = values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(values.shape))


def _in_block(name: str) -> str:
    _, _, number, rest = name.split(".", 3)
    stem, _, suffix = rest.rpartition(".")
    return f"blk.{number}.{_LEAVES[stem]}.{suffix}"


def _vocabulary(writer: Any, folder: Path, config: dict[str, Any]) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    words = dict(tokenizer["model"]["vocab"])
    special = {entry["id"]: entry["content"] for entry in tokenizer["added_tokens"]}
    for number, word in special.items():
        words.setdefault(word, number)
    listed = [f"[PAD{number}]" for number in range(config["vocab_size"])]
    for word, number in words.items():
        listed[number] = word
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(listed)
    writer.add_token_types(
        [3 if i in special else 5 if word.startswith("[PAD") else 1 for i, word in enumerate(listed)]
    )
    merges = [m if isinstance(m, str) else " ".join(m) for m in tokenizer["model"]["merges"]]
    if merges:
        writer.add_token_merges(merges)
    writer.add_token_scores([0.0] * len(listed))  # from which the library makes merges where there are none
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])
    template = folder / "chat_template.jinja"
    if template.is_file():
        writer.add_chat_template(template.read_text())


def split_gguf(whole: Path, stem: str, count: int = 2) -> list[Path]:
    """The file in parts, as llama.cpp's gguf-split writes them: metadata in the first, tensors over all."""
    import gguf

    reader = gguf.GGUFReader(str(whole))
    size = -(-len(reader.tensors) // count)
    parts = []
    for number in range(count):
        path = whole.with_name(f"{stem}-{number + 1:05d}-of-{count:05d}.gguf")
        writer = gguf.GGUFWriter(str(path), "llama")
        for name, field in reader.fields.items() if number == 0 else ():
            if name.startswith("GGUF.") or name == "general.architecture":
                continue
            element = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(name, field.contents(), field.types[0], element)
        writer.add_uint16("split.no", number)
        writer.add_uint16("split.count", count)
        writer.add_int32("split.tensors.count", len(reader.tensors))
        for tensor in reader.tensors[number * size : (number + 1) * size]:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
        for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file):
            step()
        writer.close()
        parts.append(path)
    return parts
