"""What multiplying bf16 and fp16 matrices in fp32 saves on processors without instructions for them, and what it moves.

    make bench-narrow

The same copy of the demo model reads the same texts in torch's own way and in ours, turn about; ratio: the median of torch's
seconds over ours. Distances are mean KL in nat per token, with standard errors over texts: of each way from the fp32
reference, and of the two from one another. fp32 stands beside them: it is multiplied in one way only.
docs/decisions/0007 rests on it.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from _table import write
from torch import Tensor, nn

from harness.config import Places
from harness.suites.load import load_suite
from harness.targets.checkpoint import narrow_products
from harness.targets.checkpoint.head import final_hidden, find_head
from harness.targets.checkpoint.loading import load_model
from harness.targets.checkpoint.tokenization import load_tokenizer
from harness.targets.demo_model import build_demo_reference, demo_reference
from harness.targets.spec import Runtime, parse_spec

TEXTS, TOKENS, TURNS = 8, 192, 2
COPIES = ("dtype:fp32:", "dtype:bf16:", "dtype:fp16:", "bnb:int8:", "bnb:nf4:")
WAYS = {"torch": narrow_products.native_linear, "ours": narrow_products.linear}


def passes(model: nn.Module, texts: list[Tensor], way: str) -> tuple[list[Tensor], float]:
    """Final hidden states of every text, and the seconds of all."""
    nn.functional.linear = WAYS[way]
    try:
        with torch.inference_mode():
            start = time.perf_counter()
            found = [final_hidden(model, text, None)[0] for text in texts]
            return found, time.perf_counter() - start
    finally:
        nn.functional.linear = narrow_products.native_linear


def apart(p: list[Tensor], q: list[Tensor]) -> tuple[float, float]:
    """Mean KL(P || Q) over texts, and its standard error."""
    each = [float((a.exp() * (a - b)).sum(-1).mean()) for a, b in zip(p, q, strict=True)]
    return statistics.mean(each), statistics.stdev(each) / len(each) ** 0.5


def logs(model: nn.Module, hidden: list[Tensor]) -> list[Tensor]:
    head = find_head(model)
    assert head is not None
    return [head.logits(states.float()).double().log_softmax(-1) for states in hidden]


def main() -> None:
    cache = Places.default().cache
    for line in build_demo_reference(cache, None):
        print(line)
    reference = str(demo_reference(cache))
    tokenizer = load_tokenizer(parse_spec(reference))
    documents = [one.text for one in load_suite("core").items if one.text][:TEXTS]
    texts = [torch.tensor([tokenizer(text)["input_ids"][:TOKENS]]) for text in documents]
    torch.set_num_threads(1)
    rows: list[dict[str, object]] = []
    truth: list[Tensor] = []
    for copy in COPIES:
        model, _ = load_model(parse_spec(copy + reference, Runtime(threads=1)))
        seconds: dict[str, list[float]] = {way: [] for way in WAYS}
        found: dict[str, list[Tensor]] = {}
        for _ in range(TURNS):
            for way in WAYS:
                found[way], took = passes(model, texts, way)
                seconds[way].append(took)
        torchs, ours = (logs(model, found[way]) for way in WAYS)
        truth = truth or torchs
        row: dict[str, object] = {"copy": copy[:-1]}
        row["ratio"] = round(statistics.median(seconds["torch"]) / statistics.median(seconds["ours"]), 2)
        for name, (value, error) in {
            "torchs_way": apart(truth, torchs), "our_way": apart(truth, ours), "between": apart(torchs, ours)
        }.items():  # fmt: skip
            row |= {name: float(f"{value:.3g}"), f"{name}_se": float(f"{error:.2g}")}
        rows.append(row)
        print(row, flush=True)
    tokens = sum(text.shape[1] for text in texts)
    write("narrow_products", rows, {"texts": len(texts), "tokens": tokens, "slow_here": narrow_products.are_slow()})


if __name__ == "__main__":
    main()
