"""Formats of quantized checkpoints against an independent dequantization, and the verdicts on them.

    make bench-formats                     python bench/formats.py exact   (errors alone, a minute)

Population: every layout of ``tests/support/quantized.py``, packed bit by bit from rounding that is done there, without code
of the product; bitsandbytes' own files; a mixture of experts in the formats that store experts apart. The unit is a folder.

error          largest difference between a weight as read and the weight that was packed, over the largest weight
error_576      the same for a weight of 576 by 1536, whose rows no block of 128 divides
claim          what the folder declares, as the product reads it
own, as_bf16   outcome under that claim, and sold as bf16; NOT_TESTABLE where a claim cannot be rebuilt

The reference is a random Llama with rows of 512 in bf16, on 24 texts of bytes. Rounding is the reference's own, to nearest, so
an honest copy under its claim has to be WITHIN. Errors are exact; outcomes are one draw each, no rate is claimed.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import torch
import transformers
from _table import write
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(Path(__file__).parent.parent))

from harness.config import Places
from harness.observations.events import Stop
from harness.pipeline import Candidate, Request, compare
from harness.targets.checkpoint.formats.dense import dense_reference
from harness.targets.spec import Runtime
from tests.support.quantized import RECIPES, Recipe
from tests.support.quantized import write as write_format
from tests.support.toy import edit_json, make_suite, make_toy

WIDTH, ODD = (576, 1536), "model.layers.0.mlp.down_proj.weight"


def reference(folder: Path) -> Path:
    """A random Llama with rows of 512, stored as bf16."""
    make_toy(folder, hidden_size=512, intermediate_size=1024, num_attention_heads=8, num_key_value_heads=4,
             initializer_range=0.04)  # fmt: skip
    file = folder / "model.safetensors"
    save_file({name: value.bfloat16() for name, value in load_file(str(file)).items()}, str(file), {"format": "pt"})
    edit_json(folder / "config.json", dtype="bfloat16")
    return folder


def by_bitsandbytes(base: Path, folder: Path, mode: str) -> dict[str, torch.Tensor]:
    """A folder that transformers and bitsandbytes write, and what bitsandbytes itself unpacks."""
    from bitsandbytes.functional import dequantize_4bit
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    shutil.copytree(base, folder)
    settings = BitsAndBytesConfig(load_in_8bit=True)
    if mode != "int8":
        kind, _, double = mode.partition(" ")
        settings = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type=kind, bnb_4bit_use_double_quant=bool(double),
            bnb_4bit_compute_dtype=torch.bfloat16,
        )  # fmt: skip
    model = AutoModelForCausalLM.from_pretrained(base, quantization_config=settings, dtype=torch.bfloat16)
    model.save_pretrained(folder)
    truth = {}
    for name, value in model.named_parameters():
        state, scales = getattr(value, "quant_state", None), getattr(value, "SCB", None)
        if state is not None:
            state.dtype = torch.float32
            truth[name] = dequantize_4bit(value.data, state)
        else:
            truth[name] = value.data.float() * (scales.float()[:, None] / 127) if scales is not None else value.data
    return truth


def largest_error(folder: Path, truth: dict[str, torch.Tensor]) -> float:
    """Over all tensors; infinite where one is missing, unknown or of another shape."""
    dense = dense_reference(folder)
    if set(dense) - {"lm_head.weight"} != set(truth) - {"lm_head.weight"}:
        return float("inf")
    worst = 0.0
    for name, value in truth.items():
        if name in dense:
            expected, found = value.float(), dense[name].float()
            if expected.shape != found.shape:
                return float("inf")
            worst = max(worst, float((found - expected).abs().max() / expected.abs().max().clamp_min(1e-12)))
    return worst


def error_of_one(recipe: Recipe, folder: Path) -> float:
    """Of a single weight of the demo model's width."""
    folder.mkdir()
    weight = torch.randn(*WIDTH, generator=torch.Generator().manual_seed(0)) * 0.05
    save_file({ODD: weight}, str(folder / "model.safetensors"), {"format": "pt"})
    (folder / "config.json").write_text('{"model_type": "llama"}')
    return largest_error(folder.with_name("odd"), write_format(folder, folder.with_name("odd"), recipe))


def verdicts(base: Path, folders: dict[str, Path], scratch: Path) -> dict[tuple[str, str], tuple[str, str, str]]:
    """Claim, outcome and cause of every folder under its own claim and sold as bf16."""
    suite = make_suite(scratch / "suite", documents=24)
    wanted = tuple(Candidate(str(folder), claim) for folder in folders.values() for claim in ("", "bf16"))
    steps = compare(
        Request(str(base), wanted, suite=f"{suite}/", ladder=(), runtime=Runtime(threads=1), fresh=True),
        Places(scratch / "results", scratch / "cache"), Stop(),
    )  # fmt: skip
    while True:
        try:
            next(steps)
        except StopIteration as stopped:
            cards = stopped.value.candidates
            break
    found = {}
    for (name, claim), card in zip(((name, claim) for name in folders for claim in ("", "bf16")), cards, strict=True):
        found[name, claim] = (card.evidence.claim, str(card.verdict.outcome), str(card.verdict.cause or ""))
    return found


def main() -> None:
    """Make, read and judge every format."""
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        base = reference(scratch / "reference")
        folders: dict[str, Path] = {}
        errors: dict[str, tuple[float, float | None]] = {}
        for index, (label, recipe) in enumerate(RECIPES.items()):
            folders[label] = scratch / f"format{index}"
            error = largest_error(folders[label], write_format(base, folders[label], recipe))
            odd = error_of_one(recipe, scratch / "one")
            errors[label] = (error, odd)
            shutil.rmtree(scratch / "one")
            shutil.rmtree(scratch / "odd")
        for mode in ("nf4", "nf4 double", "fp4", "int8"):
            label = f"bitsandbytes {mode}"
            folders[label] = scratch / label.replace(" ", "_")
            errors[label] = (largest_error(folders[label], by_bitsandbytes(base, folders[label], mode)), None)
        exact = sys.argv[1:] == ["exact"]
        outcomes = {} if exact else verdicts(base, folders, scratch)
    rows = []
    for label in folders:
        claim, own, _ = outcomes.get((label, ""), (RECIPES[label].claim if label in RECIPES else "", None, ""))
        _, sold, cause = outcomes.get((label, "bf16"), ("", None, ""))
        error, odd = errors[label]
        rows.append(
            {
                "format": label, "error": float(f"{error:.1e}"), "error_576": None if odd is None else float(f"{odd:.1e}"),
                "claim": claim, "own": own, "as_bf16": f"{sold} {cause}".strip() if sold else None,
            }
        )  # fmt: skip
    facts = {"torch": torch.__version__, "transformers": transformers.__version__, "rows_of": 512, "documents": 24}
    write("formats", rows, facts)


if __name__ == "__main__":
    main()
