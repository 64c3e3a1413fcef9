"""Send a model's weights through the tensor types of a GGUF file or of a recipe; runs in the isolated process only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from harness.errors import IncompatibleCandidate
from harness.targets.checkpoint.ggml import round_trip
from harness.targets.gguf_families import FAMILIES, LAYERS, MISTRAL, MIXTRAL, Family
from harness.targets.gguf_file import TYPES, read_model
from harness.targets.gguf_recipe import RECIPES, Layout, recipe, stored_as
from harness.targets.importance import Importance, read_importance
from harness.targets.spec import GgufDetail, gguf_detail

_AT_ONCE = 1 << 20  # weights that are quantized together
_FUSED = re.compile(r"experts\.(gate_up_proj|down_proj)$")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tensor of a GGUF file lies in the model: a view whose last axis is a row of the file."""

    name: str
    values: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """As in the file."""
        return tuple(self.values.shape)


def apply_types(model: Any, detail: str) -> int:
    """Quantize and decode a model's matrices in place; returns how many. See ``spec.GgufDetail`` for the detail.

    Raises IncompatibleCandidate where the tensors of a file and of the model do not match.
    """
    asked = gguf_detail(detail)
    places = list(tensor_places(model))
    types = _wanted(model, places, asked)
    importance = read_importance(Path(asked.importance)) if asked.importance else {}
    with torch.no_grad():
        for place in places:
            kind = types.get(place.name, "F32")
            if kind != "F32":
                _round(place.values, kind, importance, place.name)
    return sum(kind != "F32" for kind in types.values())


def tensor_places(model: Any) -> Iterator[Place]:
    """Every matrix under the name that GGUF files give it; the two halves of fused experts one by one."""
    config = model.config.get_text_config()
    architecture, family = _family(str(config.model_type))
    prefix = LAYERS.get(architecture, "model.layers.{n}.")
    start = re.compile("^" + re.escape(prefix).replace(r"\{n\}", r"(\d+)"))
    blocks = {value.replace("block_sparse_moe.", "mlp."): name for name, value in family.blocks.items()}
    tops = {value: name for name, value in family.tops.items()}
    for full, parameter in model.named_parameters():
        if parameter.ndim < 2:
            continue
        name = full.replace("model.language_model.", "model.").replace("block_sparse_moe.", "mlp.")
        found = start.match(name)
        rest = name[found.end() :] if found else name
        fused = _FUSED.search(rest)
        if found and fused:
            yield from _experts(f"blk.{found[1]}.", fused[1], parameter.data)
            continue
        leaf = (blocks if found else tops).get(rest.removesuffix(".weight"))
        if leaf is None:
            raise IncompatibleCandidate(
                f"the weights {full} have no name in GGUF files of {architecture}",
                fix="leave out --claim, or give one that names no GGUF type",
            )
        data = parameter.data.T if leaf in family.transposed else parameter.data
        yield Place((f"blk.{found[1]}." if found else "") + leaf + ".weight", data)


def _experts(prefix: str, which: str, data: Tensor) -> Iterator[Place]:
    if which == "down_proj":
        yield Place(prefix + "ffn_down_exps.weight", data)
        return
    half = data.shape[1] // 2
    yield Place(prefix + "ffn_gate_exps.weight", data[:, :half])
    yield Place(prefix + "ffn_up_exps.weight", data[:, half:])


def _family(model_type: str) -> tuple[str, Family]:
    listed = [*FAMILIES.items(), ("llama", MIXTRAL), ("llama", MISTRAL)]
    for architecture, family in listed:
        if family.model_type == model_type:
            return architecture, family
    raise IncompatibleCandidate(
        f"what the tensors of {model_type} are called in GGUF files is not known here",
        fix="give a claim that names no GGUF type, or --gate",
    )


def _wanted(model: Any, places: list[Place], asked: GgufDetail) -> dict[str, str]:
    shapes = [(place.name, place.shape) for place in places]
    if asked.file:
        return _of_file(model, places, Path(asked.file))
    if asked.name not in RECIPES:
        return {name: stored_as(asked.name, shape[-1]) for name, shape in shapes}
    config = model.config.get_text_config()
    architecture, _ = _family(str(config.model_type))
    heads = int(config.num_attention_heads)
    keys = int(getattr(config, "num_key_value_heads", None) or heads)
    experts = next((place.shape[0] for place in places if place.name.endswith("_exps.weight")), 0)
    layout = Layout(architecture, int(config.num_hidden_layers), heads // keys, experts)
    return recipe(asked.name, shapes, layout, importance=bool(asked.importance))


def _of_file(model: Any, places: list[Place], path: Path) -> dict[str, str]:
    file = read_model(path)
    types = {tensor.name: tensor.kind for tensor in file.tensors if len(tensor.shape) > 1}
    names = {place.name for place in places}
    head = model.get_output_embeddings()
    if "output.weight" in types and "output.weight" not in names and head is not None:
        head.weight = nn.Parameter(head.weight.detach().clone(), requires_grad=False)  # the file holds it twice
        places.append(Place("output.weight", head.weight.data))
        names.add("output.weight")
    absent = sorted(name for name, kind in types.items() if kind != "F32" and name not in names)
    if absent:
        raise IncompatibleCandidate(
            f"{len(absent)} tensors of {path.name} are not the reference's ({', '.join(absent[:3])})",
            fix="compare the file with the model that it was made from",
        )
    return {name: types.get(name, "F32") for name in names}


def _round(values: Tensor, kind: str, importance: Importance, name: str) -> None:
    width = values.shape[-1]
    if width % TYPES[kind][1]:
        raise IncompatibleCandidate(f"{name} has rows of {width} weights, which {kind} cannot store")
    slices = values if values.ndim > 2 else values[None]
    known = importance.get(name)
    if known is not None:
        known = known.reshape(-1, width) if known.size % width == 0 else None
    for number, matrix in enumerate(slices):
        vector: NDArray[np.float32] | None = None
        if known is not None:
            vector = known[number if len(known) == len(slices) else 0]
        for rows in matrix.split(max(_AT_ONCE // width, 1)):
            dense = round_trip(np.ascontiguousarray(rows.float().cpu().numpy()), kind, vector)
            rows.copy_(torch.from_numpy(dense).to(rows.dtype))
