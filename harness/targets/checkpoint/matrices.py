"""Which parameters of a model are its weight matrices, and along which axis their inputs run; runs in the isolated process only.

What quantizers take: linear layers (GPT-2's ``Conv1D`` holds them transposed) and experts, which the library fuses into one
parameter per layer, ``[experts, outputs, inputs]`` or transposed. Routers, convolutions, norms and positions are left alone by
everybody; embeddings and the output head are quantized by llama.cpp only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

Role = Literal["linear", "expert", "embedding", "head", "other"]

#: Parts of a release that a text never runs through.
_OTHER_MODALITIES = re.compile(
    r"(^|\.)(vision\w*|visual\w*|image_\w+|img_\w+|audio\w*|speech\w*|video\w*|multi_modal\w*|mm_\w+|\w*projector|embed_tokens_extend"
    r"|embed_vision|embed_audio|conformer\w*|depth_decoder|talker|code2wav|token2wav)(\.|$)"
)
_EXPERT = re.compile(r"experts?(\.|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Matrix:
    """One parameter with two or more axes. ``transposed`` where the inputs do not run along its last axis."""

    name: str
    parameter: nn.Parameter
    role: Role
    transposed: bool = False
    experts: int = 0  # of a two-dimensional parameter that holds several experts one below the other

    @property
    def packed(self) -> bool:
        """Whether a library has quantized this parameter and holds its codes."""
        return (
            getattr(self.parameter, "quant_state", None) is not None or getattr(self.parameter, "SCB", None) is not None
        )

    @property
    def count(self) -> int:
        """Number of weights, also of a parameter that holds packed codes."""
        state = getattr(self.parameter, "quant_state", None)
        return int(state.shape.numel()) if state is not None else self.parameter.numel()

    def pieces(self, values: Tensor | None = None) -> Iterator[Tensor]:
        """Views ``[outputs, inputs]`` of the parameter, or of other values of its shape: one, or one per expert."""
        values = self.parameter.data if values is None else values
        if values.ndim == 2 and self.experts:
            values = values.unflatten(0, (self.experts, -1))
        for piece in values.flatten(0, -3) if values.ndim > 2 else (values,):
            yield piece.t() if self.transposed else piece


def matrices(model: Any) -> list[Matrix]:
    """Every parameter of two or more axes, tied ones once, with what it is for."""
    embedding, head = _weight(model.get_input_embeddings()), _weight(model.get_output_embeddings())
    width = int(getattr(model.config.get_text_config(), "hidden_size", 0) or 0)
    found, seen = [], set()
    for path, module in model.named_modules():
        for own, parameter in module.named_parameters(recurse=False):
            if id(parameter) in seen or (parameter.ndim < 2 and not hasattr(parameter, "quant_state")):
                continue
            seen.add(id(parameter))
            name = f"{path}.{own}" if path else own
            if parameter is embedding or isinstance(module, nn.Embedding):
                found.append(Matrix(name, parameter, "embedding"))
            elif parameter is head:
                found.append(Matrix(name, parameter, "head"))
            elif own == "weight" and (isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D"):
                found.append(Matrix(name, parameter, "linear", transposed=type(module).__name__ == "Conv1D"))
            else:
                found.append(_other(name, own, module, parameter, width))
    return found


def _other(name: str, own: str, module: Any, parameter: nn.Parameter, width: int) -> Matrix:
    """An expert's matrix, or something that nobody quantizes."""
    experts = bool(_EXPERT.search(name.rsplit(".", 1)[0])) or "expert" in type(module).__name__.lower()
    if not experts or "bias" in own or "router" in type(module).__name__.lower() or parameter.ndim > 3:
        return Matrix(name, parameter, "other")
    downwards = bool(re.search(r"down|w2|output", own))
    if parameter.ndim == 2:
        number = int(getattr(module, "moe_num_experts", 0) or 0)
        if number > 1 and parameter.shape[0] % number == 0:
            return Matrix(name, parameter, "expert", transposed=downwards, experts=number)
        return Matrix(name, parameter, "other")
    first, last = parameter.shape[-2:]
    told = getattr(module, "is_transposed", None)
    if told is None:  # the model's own width tells which axis is which
        outputs = first if downwards else last
        told = first != last and width > 0 and outputs != width and (last if downwards else first) == width
    return Matrix(name, parameter, "expert", transposed=bool(told))


def of_text(model: Any, name: str) -> bool:
    """Whether a text runs through the parameter of this name: vision towers, projectors and audio encoders lie beside it."""
    if _OTHER_MODALITIES.search(name):
        return False
    inner = getattr(model.base_model, "language_model", None)
    if inner is None:
        return True
    return "language_model" in name or name.rpartition(".")[0] in {"lm_head", "model.lm_head"}


def roundable(model: Any, *, everything: bool) -> list[Matrix]:
    """The matrices of the text path that a quantizer rounds; ``everything``: embeddings and the head, too."""
    roles = {"linear", "expert", "embedding", "head"} if everything else {"linear", "expert"}
    return [one for one in matrices(model) if one.role in roles and of_text(model, one.name)]


def rounded_at_best(model: Any) -> int:
    """How many weights of the text path could be meant by "quantized": all matrices but embeddings, positions and the head."""
    return sum(
        one.count for one in matrices(model) if one.role not in {"embedding", "head"} and of_text(model, one.name)
    )


def _weight(module: Any) -> Any:
    return getattr(module, "weight", None)
