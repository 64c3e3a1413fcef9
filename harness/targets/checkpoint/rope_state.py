"""Rotary embeddings that remember: dynamic ones keep the frequencies of the longest text that they have met.

The library grows them while it generates one text. Here one model scores many, in an order that a resumed run changes, so
what a text gets must not depend on those before it.
"""

from __future__ import annotations

from typing import Any

from torch import nn


def forget_lengths(model: nn.Module) -> None:
    """Begin every forward pass of every dynamic rotary embedding as if it were the first."""
    for module in model.modules():
        if hasattr(module, "max_seq_len_cached") and "dynamic" in str(getattr(module, "rope_type", "")):
            module.register_forward_pre_hook(_as_born)


def _as_born(module: Any, _: Any) -> None:
    module.max_seq_len_cached = module.original_max_seq_len
    for name in [name for name, _ in module.named_buffers(recurse=False) if name.endswith("original_inv_freq")]:
        current = name.replace("original_", "")
        if current != name:
            setattr(module, current, getattr(module, name).to(getattr(module, current).device))
    for name in [name for name in vars(module) if name.endswith("_max_seq_len_cached")]:
        setattr(module, name, module.original_max_seq_len)
