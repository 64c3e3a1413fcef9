"""GGUF files and old tokenizers in the form that everything here reads; runs in the isolated process only."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from harness.targets.checkpoint.tokenization import load_tokenizer
from harness.targets.spec import TargetSpec


def gguf_to_checkpoint(gguf: Path, folder: Path) -> None:
    """Dequantise every tensor to fp32 and save weights, configuration, tokenizer and template.

    transformers refuses to save a model that came from a GGUF file as if it were still quantized; what marks it so is
    removed, because after dequantisation it is not.
    """
    from transformers import AutoModelForCausalLM  # noqa: PLC0415

    model = AutoModelForCausalLM.from_pretrained(str(gguf.parent), gguf_file=gguf.name, dtype=torch.float32)
    model.hf_quantizer = None
    for attribute in ("quantization_config", "_name_or_path"):
        model.config.__dict__.pop(attribute, None)
    for attribute in ("is_quantized", "quantization_method"):
        model.__dict__.pop(attribute, None)
    model.save_pretrained(folder)
    load_tokenizer(TargetSpec("gguf", "", str(gguf))).save_pretrained(folder)


def write_tokenizer(spec: TargetSpec, folder: Path) -> None:
    """``tokenizer.json`` and ``facts.json``: template, special tokens, stop ids, whether BOS is put in front.

    ``faithful`` is false where a GGUF file names a way of cutting texts that is not known here.
    """
    tokenizer = load_tokenizer(spec)
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    first = tokenizer("a")["input_ids"][:1]
    facts = {
        "template": tokenizer.chat_template or "",
        "variables": {
            name: str(value) for name, value in tokenizer.special_tokens_map.items() if isinstance(value, str)
        },
        "stop_ids": [] if tokenizer.eos_token_id is None else [int(tokenizer.eos_token_id)],
        "faithful": bool(getattr(tokenizer, "is_faithful", True)),
        "adds_bos": bool(first) and first[0] == tokenizer.bos_token_id is not None,
    }
    partial = folder / ".facts.json"
    partial.write_text(json.dumps(facts), encoding="utf-8")
    partial.replace(folder / "facts.json")
