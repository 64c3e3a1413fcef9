"""Checkpoints between two 4-bit builds of the demo model: nf4's weights moved towards fp4's by a share."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from bitsandbytes.functional import dequantize_4bit, quantize_4bit
from safetensors.torch import load_file, save_file


def blend(source: Path, folder: Path, share: float) -> Path:
    """The demo model with every linear layer's weight (1 - share) nf4 + share fp4; kept once made."""
    target = folder / f"nf4-fp4-{share:.4f}"
    if target.exists():
        return target
    partial = folder / f".{target.name}"
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(source, partial, ignore=shutil.ignore_patterns("*.safetensors*"))
    tensors: dict[str, torch.Tensor] = {}
    for file in source.glob("*.safetensors"):
        tensors |= load_file(file)
    for name, weight in tensors.items():
        if name.endswith("_proj.weight"):
            mixed = (1 - share) * _round(weight, "nf4") + share * _round(weight, "fp4")
            tensors[name] = mixed.to(weight.dtype).contiguous()
    save_file(tensors, partial / "model.safetensors", {"format": "pt"})
    partial.rename(target)
    return target


def _round(weight: torch.Tensor, kind: str) -> torch.Tensor:
    packed, state = quantize_4bit(weight.float(), quant_type=kind)
    return dequantize_4bit(packed, state).float()
