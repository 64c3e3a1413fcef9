"""Load a GGUF file: every tensor decoded to what it stands for, every field applied; runs in the isolated process only."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.errors import BrokenCheckpoint, MissingExtra, TargetRefused
from harness.targets.gguf_config import Translated, translate
from harness.targets.gguf_file import TYPES, GgufFile, GgufTensor, read_model
from harness.targets.spec import Runtime


def load_gguf(path: Path, dtype: torch.dtype | None, runtime: Runtime) -> Any:
    """The model of a GGUF file with dense weights, in fp32 unless a format is given.

    Raises TargetRefused for what cannot be applied, BrokenCheckpoint where tensors are missing.
    """
    import transformers  # noqa: PLC0415

    file = read_model(path)
    translated = translate(file)
    config = transformers.AutoConfig.for_model(**translated.config)
    options: dict[str, Any] = {"dtype": dtype or torch.float32, "output_loading_info": True}
    if runtime.attention != "auto":
        options["attn_implementation"] = runtime.attention
    if runtime.device != "cpu":
        options["device_map"] = runtime.device
    weights = dict(dense_weights(file, translated, options["dtype"]))
    try:
        kind = getattr(transformers, translated.family.architecture)
        model, info = kind.from_pretrained(None, config=config, state_dict=weights, **options)
    except (OSError, ValueError, RuntimeError, KeyError, AttributeError, TypeError) as error:
        raise BrokenCheckpoint(
            f"transformers cannot build this model: {str(error).strip().splitlines()[0][:300]}",
            where=str(path),
            fix="the file's metadata and tensors do not belong together; fetch it again",
        ) from error
    wrong = sorted(
        {*(info.get("missing_keys") or ()), *(info.get("unexpected_keys") or ())}
        | {str(entry[0]) for entry in info.get("mismatched_keys") or ()}
    )
    if wrong:
        raise BrokenCheckpoint(
            f"{len(wrong)} tensors are missing, too many or of the wrong shape ({', '.join(wrong[:3])})",
            where=str(path),
            fix="the file's metadata and tensors do not belong together; fetch it again",
        )
    return model


def dense_weights(file: GgufFile, translated: Translated, dtype: torch.dtype) -> Iterator[tuple[str, Tensor]]:
    """Every weight under its name in a release and in its layout there; experts one by one."""
    for tensor in file.tensors:
        name = translated.names.get(tensor.name)
        if name is None:  # factors of the rotation, which are part of the configuration
            continue
        values = torch.from_numpy(_in_layout(tensor, decoded(tensor), translated)).to(dtype)
        if "{e}" not in name:
            yield name, values
            continue
        for number, expert in enumerate(values):
            yield name.format(e=number), expert


def decoded(tensor: GgufTensor) -> NDArray[np.float32]:
    """The numbers that a tensor stands for; raises TargetRefused for types that cannot be decoded here."""
    number, block, width = TYPES[tensor.kind]
    raw = np.memmap(tensor.file, dtype=np.uint8, mode="r", offset=tensor.start, shape=(tensor.size,))
    if tensor.kind == "F32":
        return np.array(raw.view("<f4").reshape(tensor.shape))
    if tensor.kind == "F16":
        return raw.view("<f2").reshape(tensor.shape).astype(np.float32)
    if tensor.kind == "BF16":
        return (raw.view("<u2").astype(np.uint32) << 16).view(np.float32).reshape(tensor.shape)
    try:
        from gguf import GGMLQuantizationType, quants  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtra("GGUF files need the gguf package", fix="pip install 'fidelity-harness[gguf]'") from error
    rows = raw.reshape(prod(tensor.shape[:-1]), tensor.shape[-1] // block * width)
    try:
        values = quants.dequantize(rows, GGMLQuantizationType(number))
    except (NotImplementedError, ValueError) as error:
        raise TargetRefused(
            f"{tensor.name} is stored as {tensor.kind}, which cannot be decoded here",
            where=str(tensor.file),
            fix="serve the file with llama.cpp and give the server's address as the candidate",
        ) from error
    return np.ascontiguousarray(values, dtype=np.float32).reshape(tensor.shape)


def _in_layout(tensor: GgufTensor, values: NDArray[np.float32], translated: Translated) -> NDArray[np.float32]:
    """Undo what the converter did to a tensor."""
    family, config = translated.family, translated.config
    leaf, _, suffix = tensor.name.rpartition(".")
    leaf = leaf.rpartition(".")[2]
    if family.interleaved and leaf in {"attn_q", "attn_k"}:
        heads = config["num_attention_heads" if leaf == "attn_q" else "num_key_value_heads"]
        halves = values.reshape(heads, values.shape[0] // heads // 2, 2, *values.shape[1:])
        values = halves.swapaxes(1, 2).reshape(values.shape)
    if family.offset and leaf.endswith("norm") and suffix == "weight":
        values = values - np.float32(1)
    if leaf in family.transposed and suffix == "weight":
        values = values.T
    if leaf == "ffn_gate_inp_shexp" and values.ndim == 1:
        values = values[None]
    return np.ascontiguousarray(values)
