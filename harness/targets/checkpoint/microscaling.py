"""Rounding to block-scaled narrow floats: NVFP4, MXFP4 and MXFP8; runs in the isolated process only.

All divide the last axis, inputs of a layer, into groups. The scale of a group is the smallest that keeps its largest value in
range, which is what weight-only exporters write (ModelOpt, llm-compressor):

``nvfp4``  e2m1 in groups of 16; scales are e4m3, times one fp32 scale per matrix
``mxfp4``  e2m1 in groups of 32; scales are powers of two, as the OCP specification chooses them: 2^(floor(log2 amax) - 2)
``mxfp8``  e4m3 in groups of 32; scales are powers of two: 2^(floor(log2 amax) - 8)
"""

from __future__ import annotations

import torch
from torch import Tensor

#: The formats, each with the group that shares a scale.
GROUPS = {"nvfp4": 16, "mxfp4": 32, "mxfp8": 32}
_E2M1 = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0])
_E2M1_EXPONENT, _E4M3_EXPONENT = 2, 8  # of the largest value
_E4M3_MAX = 448.0


def round_to(kind: str, weight: Tensor) -> Tensor:
    """The weight in a format and back, same shape and number format; its last axis must be a multiple of the group.

    Stacks of matrices (``[experts, outputs, inputs]``) get one fp32 scale per matrix.
    """
    group = GROUPS[kind]
    values = weight.float()
    parts = values.reshape(*values.shape[:-1], -1, group)
    top = parts.abs().amax(-1, keepdim=True)
    if kind == "nvfp4":
        whole = values.abs().amax((-2, -1), keepdim=True).unsqueeze(-1) / (6.0 * _E4M3_MAX)
        whole = whole.clamp_min(torch.finfo(torch.float32).tiny)
        step = (top / 6.0 / whole).clamp(max=_E4M3_MAX).to(torch.float8_e4m3fn).float() * whole
    else:
        largest = _E2M1_EXPONENT if kind == "mxfp4" else _E4M3_EXPONENT
        step = torch.exp2(torch.floor(torch.log2(top.clamp_min(2.0**-126))) - largest)
    unit = torch.where(step > 0, parts / step.clamp_min(torch.finfo(torch.float32).tiny), torch.zeros_like(parts))
    narrow = (
        _nearest_e2m1(unit) if kind != "mxfp8" else unit.clamp(-_E4M3_MAX, _E4M3_MAX).to(torch.float8_e4m3fn).float()
    )
    return (narrow * step).reshape(weight.shape).to(weight.dtype)


def _nearest_e2m1(values: Tensor) -> Tensor:
    """The nearest value of e2m1, ties to the even code; what lies beyond 6 becomes 6."""
    size = values.abs()
    bounds = (_E2M1[1:] + _E2M1[:-1]) / 2
    above = torch.bucketize(size, bounds)  # a tie goes to the lower code
    odd = (above % 2 == 1) & (above < len(bounds))
    tie = size == bounds[above.clamp_max(len(bounds) - 1)]
    return torch.copysign(_E2M1[torch.where(odd & tie, above + 1, above)], values)
