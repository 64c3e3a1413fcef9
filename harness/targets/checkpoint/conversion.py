"""GGUF files and old tokenizers in the form that everything here reads; runs in the isolated process only."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from harness.targets.checkpoint.gguf_loading import load_gguf
from harness.targets.checkpoint.tokenization import load_tokenizer
from harness.targets.spec import Runtime, TargetSpec


def gguf_to_checkpoint(gguf: Path, folder: Path) -> None:
    """Dequantise every tensor to fp32 and save weights, configuration, tokenizer and template.

    The model is built as any other; nothing marks it as quantized, because after decoding it is not.
    """
    model = load_gguf(gguf, torch.float32, Runtime())
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
