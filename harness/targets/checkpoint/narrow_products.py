"""Products of bf16 and fp16 matrices on processors without instructions for them; runs in the isolated process only.

There torch multiplies such matrices one number at a time, up to nine times slower than fp32. Both ways round once, after
sums in fp32, so that they differ only in the order of the sums (docs/decisions/0007-narrow-products-in-fp32.md).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

WIDE_FROM = 8  # rows of input; below, widening the weights costs as much as it saves
_AT_ONCE = 1 << 20  # weights that are widened together: 4 MB, so that a large output head costs no copy of itself
_NARROW = (torch.bfloat16, torch.float16)
_PLAIN = (Tensor, nn.Parameter)  # packed weights are subclasses that call themselves bf16

native_linear = nn.functional.linear


def are_slow() -> bool:
    """Whether this processor has no instructions for narrow products that torch uses; unknown counts as no."""
    asked = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return asked is not None and not asked()


def widen() -> None:
    """From now on multiply narrow matrices in fp32 where that is faster; does nothing where it is not."""
    if are_slow():
        nn.functional.linear = linear


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:  # noqa: A002 - torch's own names
    """As ``torch.nn.functional.linear``; many rows of narrow numbers are multiplied and summed in fp32, then rounded."""
    narrow = weight.dtype in _NARROW and input.dtype == weight.dtype
    if not narrow or type(weight) not in _PLAIN or weight.device.type != "cpu" or torch.is_grad_enabled():
        return native_linear(input, weight, bias)
    outputs, inputs = weight.shape
    if input.numel() < WIDE_FROM * inputs:
        return native_linear(input, weight, bias)
    rows = input.reshape(-1, inputs).float()
    out = torch.empty(len(rows), outputs, dtype=input.dtype)
    step = max(_AT_ONCE // inputs, 1)
    for start in range(0, outputs, step):
        part = slice(start, start + step)
        some = None if bias is None else bias[part].float()
        out[:, part] = native_linear(rows, weight[part].float(), some)
    return out.reshape(*input.shape[:-1], outputs)
