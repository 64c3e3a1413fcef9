"""Read GPTQ checkpoints in auto-gptq's format as dense weights, because the arithmetic of the weights is what is judged.

Per linear layer the files hold, with B bits, I inputs, O outputs and G groups:

``qweight`` int32 [I*B/32, O]   codes, packed along the inputs as one little-endian bit stream
``qzeros``  int32 [G, O*B/32]   zero points, packed along the outputs; format v1 stores them minus one
``scales``  float [G, O]
``g_idx``   int32 [I]           group of each input; absent or in order without act-order

    weight[o, i] = scales[g_idx[i], o] * (code[i, o] - zero[g_idx[i], o])

The layout is that of AutoGPTQ 0.7.1 and of its successor's ``gptq`` (v1) and ``gptq_v2`` formats.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from harness.errors import BrokenCheckpoint
from harness.targets.spec import Runtime

_BITS = (2, 3, 4, 8)


def load_gptq(folder: Path, dtype: torch.dtype | None, runtime: Runtime) -> Any:
    """A dense model from a GPTQ folder; other tensors are taken as they are."""
    from transformers import AutoConfig, AutoModelForCausalLM  # noqa: PLC0415

    settings = read_settings(folder)
    bits, first = int(settings["bits"]), 0 if settings.get("checkpoint_format") == "gptq_v2" else 1
    if bits not in _BITS:
        raise BrokenCheckpoint(f"GPTQ with {bits} bits is not known", where=str(folder), fix="2, 3, 4 and 8 are")
    tensors: dict[str, Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        tensors.update(load_file(str(path)))
    state = dense_state(tensors, bits, first, str(folder))
    config = AutoConfig.from_pretrained(str(folder), trust_remote_code=False, local_files_only=True)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    model = AutoModelForCausalLM.from_config(
        config,
        dtype=dtype or torch.float32,
        attn_implementation=None if runtime.attention == "auto" else runtime.attention,
        trust_remote_code=False,
    )
    known = set(model.state_dict())
    wanted = {
        name: value.to(dtype or torch.float32)
        for name, value in state.items()
        # older files carry rotary tables and biases of zeros that the architecture does not have
        if name in known or not (name.endswith("rotary_emb.inv_freq") or (name.endswith(".bias") and not value.any()))
    }
    missing, unexpected = model.load_state_dict(wanted, strict=False)
    model.tie_weights()
    ties = bool(getattr(config, "tie_word_embeddings", False))
    tied = set(getattr(model, "_tied_weights_keys", None) or ()) if ties else set()
    absent = [name for name in missing if name not in tied]
    if absent or unexpected:
        names = ", ".join([*absent, *unexpected][:3])
        raise BrokenCheckpoint(
            f"{len(absent)} weights are missing and {len(unexpected)} are unknown ({names}, ...)",
            where=str(folder),
            fix="fetch the complete checkpoint",
        )
    return model.to(runtime.device) if runtime.device not in {"cpu", "auto"} else model


def read_settings(folder: Path) -> dict[str, Any]:
    """The quantization settings from ``quantize_config.json`` or from ``config.json``."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    settings = config.get("quantization_config")
    file = folder / "quantize_config.json"
    if not settings and file.is_file():
        settings = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(settings, dict) or "bits" not in settings:
        raise BrokenCheckpoint(
            "this is not a GPTQ checkpoint: neither config.json nor quantize_config.json names its bits",
            where=str(folder),
            fix="for other formats give the folder without the gptq: prefix",
        )
    return settings


def dense_state(tensors: dict[str, Tensor], bits: int, zero_offset: int, where: str) -> dict[str, Tensor]:
    """Replace every packed layer by its dense weight."""
    state: dict[str, Tensor] = {}
    packed = {name.removesuffix(".qweight") for name in tensors if name.endswith(".qweight")}
    for name, value in tensors.items():
        layer, _, kind = name.rpartition(".")
        if layer not in packed or kind == "bias":
            state[name] = value
    for layer in sorted(packed):
        try:
            qweight, qzeros, scales = (tensors[f"{layer}.{part}"] for part in ("qweight", "qzeros", "scales"))
        except KeyError as error:
            raise BrokenCheckpoint(f"the packed layer {layer} lacks {error}", where=where) from error
        groups = tensors.get(f"{layer}.g_idx")
        state[f"{layer}.weight"] = dequantize(qweight, qzeros, scales, groups, bits, zero_offset)
    return state


def dequantize(
    qweight: Tensor, qzeros: Tensor, scales: Tensor, groups: Tensor | None, bits: int, zero_offset: int
) -> Tensor:
    """The dense weight ``[outputs, inputs]`` in fp32; ``zero_offset`` is 1 for format v1, whose zeros wrap."""
    codes = unpack(qweight.t(), bits)  # [outputs, inputs]
    zeros = (unpack(qzeros, bits) + zero_offset) % (1 << bits)  # [groups, outputs]
    inputs = codes.shape[1]
    if groups is None:
        size = -(-inputs // scales.shape[0])
        groups = torch.arange(inputs) // size
    index = groups.long() % scales.shape[0]
    return scales.float()[index].t() * (codes - zeros[index].t()).float()


def unpack(words: Tensor, bits: int) -> Tensor:
    """Codes packed along the last axis as a little-endian bit stream: 32 codes in ``bits`` words. int32 -> int64."""
    stream = words.long() & 0xFFFFFFFF
    blocks = stream.reshape(*stream.shape[:-1], -1, bits) if bits == 3 else stream.unsqueeze(-1)
    per_block = 32 if bits == 3 else 32 // bits
    mask = (1 << bits) - 1
    codes = []
    for k in range(per_block):
        word, offset = divmod(k * bits, 32)
        value = blocks[..., word] >> offset
        if offset + bits > 32:  # the code straddles two words; happens with 3 bits only
            value = value | (blocks[..., word + 1] << (32 - offset))
        codes.append(value & mask)
    return torch.stack(codes, -1).flatten(-2)
