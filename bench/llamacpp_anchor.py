"""Hold the distribution layer against llama.cpp's own perplexity tool on the same tokens.

    make bench-llamacpp

Text: the values of ``pydoc_data.topics.topics`` in sorted key order, joined by blank lines (sha256 71f2ff5d..., CPython
3.11.7; another Python has another text and the anchor does not apply). First 20 windows of 512 tokens, second halves
scored, fp32. llama.cpp's figures: reference perplexity 11.6409; Q8_0 dequantised to fp32: mean KL 0.001088 +- 0.000015,
perplexity ratio 1.00297, same top 98.22 %.
"""

from __future__ import annotations

import hashlib
import pydoc_data.topics
import sys
import tempfile
from pathlib import Path

import numpy as np
from _table import write

from harness.config import Places
from harness.observations.reference_cache import ReferenceCache
from harness.prompts.windows import perplexity_windows
from harness.targets.batches import Batch
from harness.targets.checkpoint.target import CheckpointTarget, Workers
from harness.targets.demo_model import build_demo_reference, demo_reference
from harness.targets.spec import parse_spec

TEXT_SHA256 = "71f2ff5d"
ANCHOR = {"ggufq:Q8_0": {"kl": 0.001088, "kl_se": 0.000015, "ppl_ratio": 1.00297, "same_top": 0.9822}}
PLAIN_SCRIPT = {"ggufq:Q8_0": 0.001072, "ggufq:Q5_0": 0.0916, "ggufq:Q4_0": 0.3209}
REFERENCE_PPL = 11.6409


def anchor_text() -> str:
    """The text, or an exit with the reason why the anchor does not apply here."""
    topics = pydoc_data.topics.topics
    text = "\n\n".join(topics[key] for key in sorted(topics))
    digest = hashlib.sha256(text.encode()).hexdigest()
    if not digest.startswith(TEXT_SHA256):
        sys.exit(f"not applicable: this Python's topics have digest {digest[:8]}, the anchor needs {TEXT_SHA256}")
    return text


def main(windows: int = 20) -> None:
    text = anchor_text()
    places = Places.default()
    for line in build_demo_reference(places.cache, None):
        print(line)
    base = demo_reference(places.cache)
    rows = []
    with Workers() as workers, tempfile.TemporaryDirectory() as scratch:
        reference = CheckpointTarget(parse_spec(str(base)), workers, places.cache)
        (encoded,) = reference.tokenize([text])
        sequences = perplexity_windows(list(encoded.ids), 512, windows, None)
        cache = ReferenceCache(Path(scratch), reference, reference.capabilities())
        cache.prepare()
        for sequence in sequences:
            cache.fill([sequence], reference.vocabulary())
        for change, plain in PLAIN_SCRIPT.items():
            target = CheckpointTarget(parse_spec(f"{change}:{base}"), workers, places.cache)
            parts = [
                target.score(Batch.of([s]), cache.folder, cache.keys([s]), reference.vocabulary()) for s in sequences
            ]
            table = np.concatenate(parts)
            kl = table["kl_ref_cand"].astype(np.float64)
            means = np.array([part["kl_ref_cand"].astype(np.float64).mean() for part in parts])
            rows.append(
                {
                    "change": change,
                    "tokens": len(table),
                    "ppl_reference": round(float(np.exp(table["nll_ref"].mean(dtype=np.float64))), 4),
                    "kl": round(float(kl.mean()), 6),
                    "kl_se_windows": round(float(means.std(ddof=1) / np.sqrt(len(means))), 6),
                    "ppl_ratio": round(float(np.exp((table["nll_cand"] - table["nll_ref"]).mean(dtype=np.float64))), 5),
                    "same_top": round(float((table["top1_ref"] == table["top1_cand"]).mean()), 4),
                    "kl_llamacpp": ANCHOR.get(change, {}).get("kl"),
                    "kl_over_llamacpp": round(float(kl.mean()) / ANCHOR[change]["kl"], 4) if change in ANCHOR else None,
                    "kl_plain_script": plain,
                }
            )
    write("llamacpp_anchor", rows, {"windows": windows, "ppl_llamacpp": REFERENCE_PPL, "anchor": ANCHOR})


if __name__ == "__main__":
    main()
