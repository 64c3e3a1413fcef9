"""Record what gptqmodel writes and how it reads it back, for the tests of our own GPTQ reader. Needs a compiler.

    make bench-gptq

A one-layer toy Llama is quantized by gptqmodel in every layout that it writes (2, 3, 4 and 8 bits, symmetric or not,
with and without act-order, formats v1 and v2). Kept of each: the packed tensors of one layer with 64 inputs and 32
outputs as they lie in the file, and the dense weight that gptqmodel's own torch kernel makes of them in fp16, the type
of the scales in the file (its bf16 kernel rounds the scales first and is itself up to 1.4 units of bf16's last place
off). The result goes to ``tests/data/gptq.safetensors``, the agreement of our reader to ``bench/results``.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

ROOT = Path(__file__).parent.parent
LAYER = "model.layers.0.self_attn.k_proj"
LAYOUTS = [
    # bits, symmetric, act-order, format
    (4, True, False, "gptq"),
    (4, True, True, "gptq"),
    (4, False, False, "gptq"),
    (4, False, False, "gptq_v2"),
    (4, False, True, "gptq_v2"),
    (8, True, False, "gptq"),
    (8, False, True, "gptq_v2"),
    (3, True, False, "gptq"),
    (3, False, True, "gptq_v2"),
    (2, True, True, "gptq"),
    (2, False, False, "gptq_v2"),
]
TEXTS = ("The river runs slowly past the lamp and the stone. ", "A gate, a door, a window; 1234567890 and no more. ")


def main() -> None:
    sys.path.insert(0, str(ROOT))
    import gptqmodel
    from gptqmodel import BACKEND, GPTQModel, QuantizeConfig
    from transformers import AutoTokenizer

    from tests.support.toy import make_toy

    gptqmodel._default_cpu_workers = lambda: 2  # version 7.6.0 asks for two workers of a pool of one on two cores
    kept: dict[str, torch.Tensor] = {}
    with tempfile.TemporaryDirectory() as scratch:
        toy = make_toy(Path(scratch) / "toy", layers=1)
        tokenizer = AutoTokenizer.from_pretrained(toy)
        calibration = [dict(tokenizer(text * 3, return_tensors="pt")) for text in TEXTS * 8]
        for bits, symmetric, act_order, layout in LAYOUTS:
            name = f"{bits}-{'sym' if symmetric else 'asym'}-{'act' if act_order else 'plain'}-{layout}"
            settings = QuantizeConfig(
                bits=bits, group_size=32, sym=symmetric, desc_act=act_order, format=layout, device="cpu"
            )
            model = GPTQModel.load(str(toy), settings)
            model.quantize(calibration, batch_size=1)
            model.save(str(Path(scratch) / name))
            with safe_open(str(Path(scratch) / name / "model.safetensors"), framework="pt") as stored:
                for part in ("qweight", "qzeros", "scales", "g_idx"):
                    kept[f"{name}.{part}"] = stored.get_tensor(f"{LAYER}.{part}")
            read = GPTQModel.load(
                str(Path(scratch) / name), backend=BACKEND.GPTQ_TORCH, device="cpu", dtype=torch.float16
            )
            module = read.model.get_submodule(LAYER)
            kept[f"{name}.dense"] = module.dequantize_weight().t().contiguous()
    facts = {"gptqmodel": gptqmodel.__version__, "torch": torch.__version__, "layer": "64 inputs, 32 outputs"}
    save_file(kept, str(ROOT / "tests" / "data" / "gptq.safetensors"), {"made_by": json.dumps(facts)})
    compare(kept, facts)


def compare(kept: dict[str, torch.Tensor], facts: dict[str, str]) -> None:
    """Our reader beside gptqmodel's kernel, in units of bf16's last place."""
    from _table import write

    from harness.targets.checkpoint.formats.gptq import dequantize

    rows = []
    for name in sorted({key.rpartition(".")[0] for key in kept}):
        part = {key: kept[f"{name}.{key}"] for key in ("qweight", "qzeros", "scales", "g_idx")}
        ours = dequantize(*part.values(), int(name[0]), 0 if name.endswith("_v2") else 1)
        theirs = kept[f"{name}.dense"].float()
        assert kept[f"{name}.dense"].dtype == torch.float16
        last_place = 2.0 ** (torch.floor(torch.log2(theirs.abs().clamp_min(1e-30))) - 7)
        rows.append(
            {
                "layout": name,
                "largest_difference_in_ulp": round(float(((ours - theirs).abs() / last_place)[theirs != 0].max()), 3),
                "zeros_agree": bool(torch.equal(ours == 0, theirs == 0)),
                "scales": str(part["scales"].dtype).removeprefix("torch."),
            }
        )
    write("gptq_reader", rows, dict(facts))


if __name__ == "__main__":
    main()
