"""Weights rounded to a grid and put back as floats: what quantization does to the numbers, without its kernels.

The *arithmetic of the weights* is what is judged. An engine that also rounds activations moves further than this.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from harness.errors import IncompatibleCandidate, MissingExtra
from harness.targets.checkpoint.matrices import Matrix, roundable, rounded_at_best
from harness.targets.checkpoint.microscaling import GROUPS, round_to

Rounding = Callable[[Tensor], Tensor]

_AT_ONCE = 1 << 20  # weights that are rounded together, so that a large embedding costs no copies of itself
_GGUF_BLOCK = 32
_CODEBOOK_BLOCK = 64
#: The share of a model's inner weights that a rebuilt precision may leave alone (routers, convolutions, gates).
MAY_BE_LEFT = 0.1


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


def round_to_codebook(weight: Tensor, kind: str) -> Tensor:
    """``nf4`` or ``fp4`` by bitsandbytes' own kernels and back: blocks of 64 along the rows, one after the other."""
    try:
        from bitsandbytes.functional import dequantize_4bit, quantize_4bit  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtra(
            "this quantization needs bitsandbytes", fix="pip install 'fidelity-harness[bitsandbytes]'"
        ) from error
    packed, state = quantize_4bit(weight.contiguous(), quant_type=kind, blocksize=_CODEBOOK_BLOCK)
    return dequantize_4bit(packed, state).to(weight.dtype)  # type: ignore[no-any-return]


def round_rows_to_int8(weight: Tensor) -> Tensor:
    """Symmetric 8-bit integers with one scale per output row, as LLM.int8() stores weights."""
    wide = weight.float()
    scale = (wide.abs().amax(-1, keepdim=True) / 127.0).clamp_min(torch.finfo(torch.float32).tiny)
    return ((wide / scale).round_() * scale).to(weight.dtype)


def rounding_of(kind: str, detail: str) -> Rounding:
    """The rounding that a specification like ``rtn:4g64`` names."""
    if kind == "rtn":
        bits, group = (int(part) for part in detail.split("g"))
        return lambda weight: round_to_nearest(weight, bits, group)
    if kind == "fp8":
        return round_to_fp8
    if kind == "mx":
        return partial(round_to, detail)
    if kind == "bnb":
        return round_rows_to_int8 if detail == "int8" else lambda weight: round_to_codebook(weight, detail)
    return lambda weight: gguf_round_trip(weight, detail)


def rounds(matrix: Matrix, kind: str, detail: str = "") -> bool:
    """Whether a quantization of this kind takes a matrix: llama.cpp embeddings and heads, too, if rows are whole blocks."""
    if kind == "mx" and next(iter(matrix.pieces())).shape[1] % GROUPS[detail]:
        return False
    if kind != "ggufq":
        return matrix.role in {"linear", "expert"}
    if matrix.role == "other" or matrix.packed:
        return False
    return bool(next(iter(matrix.pieces())).shape[1] % _GGUF_BLOCK == 0)


def apply_rounding(model: Any, kind: str, detail: str) -> int:
    """Round a model's matrices in place, one at a time; returns how many were changed.

    Linear layers and experts, the output head excepted, as GPTQ, AWQ and bitsandbytes do; ``ggufq`` takes embeddings and
    the head, too, as llama.cpp does. What a library has packed already (bitsandbytes' own layers) counts as rounded.
    Raises IncompatibleCandidate where more than a declared share of the weights would stay as they are: such a model
    stands for nothing that anybody publishes.
    """
    chosen = refuse_partial(model, kind, detail)
    rounding = rounding_of(kind, detail)
    with torch.no_grad():
        for matrix in chosen:
            if not matrix.packed:
                round_pieces(matrix, matrix.parameter.data, rounding)
    return len(chosen)


def refuse_partial(model: Any, kind: str, detail: str) -> list[Matrix]:
    """The matrices that a quantization takes, by their shapes alone; raises IncompatibleCandidate if too few are left to it."""
    chosen = [one for one in roundable(model, everything=kind == "ggufq") if rounds(one, kind, detail)]
    rounded = sum(one.count for one in chosen if one.role not in {"embedding", "head"})
    inner = rounded_at_best(model)
    if rounded < (1 - MAY_BE_LEFT) * inner:
        raise IncompatibleCandidate(
            f"{kind}{detail and ':'}{detail} would leave {inner - rounded:,} of this model's {inner:,} weights as they are",
            fix="give a copy that was quantized by the architecture's own tools as the candidate",
        )
    return chosen


def round_pieces(matrix: Matrix, values: Tensor, rounding: Rounding) -> Tensor:
    """Round values of a matrix's shape in place, row by row where rows do not share a scale, experts one after the other."""
    whole = getattr(rounding, "args", ()) == ("nvfp4",)
    for piece in matrix.pieces(values):
        for rows in piece.split(len(piece) if whole else max(_AT_ONCE // piece.shape[1], 1)):
            rows.copy_(rounding(rows.contiguous()))
    return values
