"""Copies of the demo model with one thing wrong each; documented seeds, no downloads."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.support.toy import edit_json, edit_tensors

LAYER = 15
TUNING_STEPS = 12
TUNING_SEED = 20261101


def scaled_logits(source: Path, folder: Path) -> Path:
    """The final norm times 1.2: every logit is 1.2 times what it should be."""
    shutil.copytree(source, folder)
    edit_tensors(folder, lambda name, t: t * 1.2 if name == "model.norm.weight" else t)
    return folder


def other_rope(source: Path, folder: Path) -> Path:
    """The rotary base of another configuration."""
    shutil.copytree(source, folder)
    edit_json(folder / "config.json", rope_parameters={"rope_theta": 10_000.0, "rope_type": "default"})
    return folder


def zeroed_layer(source: Path, folder: Path) -> Path:
    """One of thirty layers lost its matrices."""
    shutil.copytree(source, folder)
    edit_tensors(folder, lambda name, t: t * 0 if name.startswith(f"model.layers.{LAYER}.") and t.ndim == 2 else t)
    return folder


def permuted_vocabulary(source: Path, folder: Path) -> Path:
    """Embedding rows 1,000 to 1,999 in reverse order."""
    import torch

    def change(name: str, tensor: torch.Tensor) -> torch.Tensor:
        if name != "model.embed_tokens.weight":
            return tensor
        order = torch.arange(len(tensor))
        order[1000:2000] = order[1000:2000].flip(0)
        return tensor[order]

    shutil.copytree(source, folder)
    edit_tensors(folder, change)
    return folder


def fine_tuned(source: Path, folder: Path) -> Path:
    """A sibling: twelve AdamW steps at 1e-4 on a nursery rhyme."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(TUNING_SEED)
    tokenizer = AutoTokenizer.from_pretrained(source)
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    ids = torch.tensor([tokenizer("Row, row, row your boat, gently down the stream. " * 6)["input_ids"]])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    for _ in range(TUNING_STEPS):
        optimizer.zero_grad()
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
    shutil.copytree(source, folder)
    model.save_pretrained(folder)
    return folder


def saved_nf4(source: Path, folder: Path) -> Path:
    """A checkpoint that bitsandbytes quantized and saved, with its quantization_config."""
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16)
    model = AutoModelForCausalLM.from_pretrained(
        source, dtype=torch.bfloat16, quantization_config=config, device_map="cpu"
    )
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.safetensors", "config.json", "built.json"))
    model.save_pretrained(folder)
    return folder
