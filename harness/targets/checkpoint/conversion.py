"""A GGUF file as an fp32 checkpoint folder; runs in the isolated process only."""

from __future__ import annotations

from pathlib import Path

import torch


def gguf_to_checkpoint(gguf: Path, folder: Path) -> None:
    """Dequantise every tensor to fp32 and save weights, configuration, tokenizer and template.

    transformers refuses to save a model that came from a GGUF file as if it were still quantized; what marks it so is
    removed, because after dequantisation it is not.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: PLC0415

    model = AutoModelForCausalLM.from_pretrained(str(gguf.parent), gguf_file=gguf.name, dtype=torch.float32)
    model.hf_quantizer = None
    for attribute in ("quantization_config", "_name_or_path"):
        model.config.__dict__.pop(attribute, None)
    for attribute in ("is_quantized", "quantization_method"):
        model.__dict__.pop(attribute, None)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name).save_pretrained(folder)
