"""How much of a rounding inside the forward pass comes out the same, if its input moves by one part in a million.

    make bench-unrepeatable

Weights are rounded once, so that a rebuilt quantization repeats them. Activations and caches are rounded anew at every token and
layer: what falls on another side moves what follows. All distances are mean KL in nat per token on texts of the core suite.
"own": what the rounding does; "shaken": the same model against itself with its embeddings moved; if that is as large as "own",
nobody else's arithmetic repeats the rounding. docs/decisions/0006 rests on it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from _table import write
from torch import Tensor

from harness.config import Places
from harness.suites.load import load_suite
from harness.targets.checkpoint.kv_cache import round_cache_of
from harness.targets.checkpoint.loading import load_model
from harness.targets.checkpoint.tokenization import load_tokenizer
from harness.targets.demo_model import build_demo_reference, demo_reference
from harness.targets.spec import Runtime, parse_spec

TEXTS, TOKENS, SHAKE = 6, 96, 1e-6
#: Name, what is done to the weights, how activations and how the cache are rounded.
CASES = (
    ("weights as they are", "", False, ""),
    ("Q8_0 weights", "ggufq:Q8_0:", False, ""),
    ("Q8_0 weights, activations of 8 bits", "ggufq:Q8_0:", True, ""),
    ("cache of 8 bits", "", False, "q8_0"),
    ("cache of 4 bits", "", False, "q4_0"),
)


def rounded(states: Tensor) -> Tensor:
    """Activations as llama.cpp hands them to a quantized matrix: blocks of 32, the largest at 127, an fp16 scale."""
    blocks = states.unflatten(-1, (-1, 32))
    scale = blocks.abs().amax(-1, keepdim=True) / 127.0
    levels = (blocks * torch.where(scale == 0, 0.0, 1.0 / scale)).round()
    return (levels * scale.half().float()).flatten(-2)


def logs(spec: str, texts: list[Tensor], *, activations: bool, cache: str, shake: float) -> Tensor:
    """Log-probabilities of every token of every text, ``[tokens, ids]``."""
    model, _ = load_model(parse_spec(spec, Runtime(dtype="fp32", threads=1)))
    if cache:
        round_cache_of(model, cache)
    if activations:
        for module in model.modules():
            if isinstance(module, torch.nn.Linear):
                module.register_forward_pre_hook(_first(rounded))
    noise = torch.Generator().manual_seed(1)
    model.get_input_embeddings().register_forward_hook(
        lambda _, __, out: out * (1.0 + shake * torch.randn(out.shape, generator=noise))
    )
    with torch.inference_mode():
        return torch.cat([model(input_ids=text).logits[0].double().log_softmax(-1) for text in texts])


def _first(change: Callable[[Tensor], Tensor]) -> Callable[[object, tuple[Tensor, ...]], tuple[Tensor, ...]]:
    return lambda _, inputs: (change(inputs[0]), *inputs[1:])


def divergence(q: Tensor, p: Tensor) -> float:
    """Mean KL(q || p)."""
    return float((q.exp() * (q - p)).sum(-1).mean())


def main() -> None:
    places = Places.default()
    for line in build_demo_reference(places.cache, None):
        print(line)
    reference = str(demo_reference(places.cache))
    tokenizer = load_tokenizer(parse_spec(reference))
    documents = [one.text for one in load_suite("core").items if getattr(one, "text", "")][:TEXTS]
    texts = [torch.tensor([tokenizer(text)["input_ids"][:TOKENS]]) for text in documents]
    rows: list[dict[str, object]] = []
    found: dict[str, Tensor] = {}
    for name, kind, activations, cache in CASES:
        spec = f"{kind}{reference}"
        found[name] = logs(spec, texts, activations=activations, cache=cache, shake=0.0)
        shaken = logs(spec, texts, activations=activations, cache=cache, shake=SHAKE)
        without = "Q8_0 weights" if activations else "weights as they are"
        rows.append({
            "case": name, "own": divergence(found[name], found[without]), "shaken": divergence(shaken, found[name]),
        })  # fmt: skip
    write("unrepeatable", rows, {"texts": len(texts), "tokens": sum(text.shape[1] for text in texts), "shake": SHAKE})


if __name__ == "__main__":
    main()
