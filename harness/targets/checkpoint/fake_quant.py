"""Weights rounded to a grid and put back as floats: what quantization does to the numbers, without its kernels.

The *arithmetic of the weights* is what is judged. An engine that also rounds activations moves further than this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from harness.errors import IncompatibleCandidate, MissingExtra

Rounding = Callable[[Tensor], Tensor]

_AT_ONCE = 1 << 20  # weights that are rounded together, so that a large embedding costs no copies of itself


def round_to_nearest(weight: Tensor, bits: int, group: int) -> Tensor:
    """Asymmetric round to nearest: per row, each ``group`` neighbouring inputs share 2**bits levels from min to max."""
    rows, width = weight.shape
    group = min(group, width)
    padding = -width % group
    wide = nn.functional.pad(weight.float(), (0, padding), mode="replicate") if padding else weight.float()
    groups = wide.reshape(rows, -1, group)  # padded by the row's last weight, which moves no minimum and no maximum
    low, high = torch.aminmax(groups, dim=-1, keepdim=True)
    step = ((high - low) / (2**bits - 1)).clamp_min(torch.finfo(torch.float32).tiny)
    levels = ((groups - low).div_(step)).round_()
    return levels.mul_(step).add_(low).reshape(rows, -1)[:, :width].to(weight.dtype)


def round_to_fp8(weight: Tensor) -> Tensor:
    """e4m3 with one scale per output row, the largest weight of the row at the largest finite value (448)."""
    wide = weight.float()
    scale = (wide.abs().amax(-1, keepdim=True) / 448.0).clamp_min(torch.finfo(torch.float32).tiny)
    return ((wide / scale).to(torch.float8_e4m3fn).float() * scale).to(weight.dtype)


def gguf_round_trip(weight: Tensor, type_name: str) -> Tensor:
    """Through llama.cpp's quantizer and back, by the ``gguf`` package; rows must be multiples of 32."""
    try:
        from gguf import GGMLQuantizationType, quants  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtra(
            "GGUF quantization needs the gguf package", fix="pip install 'fidelity-harness[gguf]'"
        ) from error
    kind = GGMLQuantizationType[type_name]
    packed = quants.quantize(weight.float().cpu().numpy(), kind)
    dense = np.ascontiguousarray(quants.dequantize(packed, kind))
    return torch.from_numpy(dense).to(weight.dtype).to(weight.device)


def rounding_of(kind: str, detail: str) -> Rounding:
    """The rounding that a specification like ``rtn:4g64`` names."""
    if kind == "rtn":
        bits, group = (int(part) for part in detail.split("g"))
        return lambda weight: round_to_nearest(weight, bits, group)
    if kind == "fp8":
        return round_to_fp8
    return lambda weight: gguf_round_trip(weight, detail)


def apply_rounding(model: Any, kind: str, detail: str) -> int:
    """Round a model's matrices in place, one at a time; returns how many were changed.

    Linear layers only, the output head excepted, as GPTQ, AWQ and bitsandbytes do; ``ggufq`` takes every matrix with
    rows of a multiple of 32, embeddings included, as llama.cpp does.
    """
    rounding = rounding_of(kind, detail)
    count = rounded = 0
    with torch.no_grad():
        for parameter in _matrices(model, everything=kind == "ggufq"):
            for rows in parameter.data.split(max(_AT_ONCE // parameter.shape[1], 1)):  # every rounding is row by row
                rows.copy_(rounding(rows))
            count += 1
            rounded += parameter.numel()
    inner = sum(p.numel() for p in model.parameters() if p.ndim >= 2) - _embedding_size(model)
    if rounded < inner / 2:
        raise IncompatibleCandidate(
            f"only {rounded:,} of {inner:,} weights lie in layers that can be rounded here",
            fix="quantize this architecture with its own tools and give the result as a candidate",
        )
    return count


def _embedding_size(model: Any) -> int:
    tables = {
        id(m.weight): m.weight.numel() for m in (model.get_input_embeddings(), model.get_output_embeddings()) if m
    }
    return sum(tables.values())


def _matrices(model: Any, *, everything: bool) -> Iterator[nn.Parameter]:
    if everything:
        for parameter in model.parameters():  # tied matrices are listed once
            if parameter.ndim == 2 and parameter.shape[1] % 32 == 0:
                yield parameter
        return
    head = model.get_output_embeddings()
    for module in model.modules():
        if isinstance(module, nn.Linear) and module is not head:
            yield module.weight
