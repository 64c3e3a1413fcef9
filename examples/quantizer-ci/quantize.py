"""Make the 4-bit copy of a checkpoint folder that is published: python quantize.py MODEL OUT [--kind nf4|fp4]."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig


def main() -> None:
    """Quantize and save, tokenizer included."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--kind", default="nf4", choices=["nf4", "fp4"])
    given = parser.parse_args()
    config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type=given.kind, bnb_4bit_compute_dtype=torch.float32)
    AutoModelForCausalLM.from_pretrained(given.model, quantization_config=config).save_pretrained(given.out)
    AutoTokenizer.from_pretrained(given.model).save_pretrained(given.out)


if __name__ == "__main__":
    main()
