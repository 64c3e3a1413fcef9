"""How far a sketched reference is off: every candidate of the demo scored against the exact cache and the sketch.

    make bench-sketch

fp32 SmolLM2-135M on the core suite's quick profile (what ``fidelity demo`` scores). Bias is the sketch's mean over the
exact mean, minus 1; ``kl_error`` is the standard error that the report prints from the draws alone, without the truth.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from _table import write

from harness.cli.demo import ACTS
from harness.config import Places
from harness.observations.planning import encode_items
from harness.observations.reference_cache import ReferenceCache
from harness.suites.load import load_suite
from harness.targets.batches import Batch
from harness.targets.checkpoint.target import CheckpointTarget, Workers
from harness.targets.demo_model import build_demo_reference, demo_reference
from harness.targets.spec import Runtime, parse_spec


def finish(generator):
    """The return value of a stage, its events left aside."""
    while True:
        try:
            next(generator)
        except StopIteration as end:
            return end.value


def main() -> None:
    places = Places.default()
    for line in build_demo_reference(places.cache, None):
        print(line)
    base = demo_reference(places.cache)
    runtime = Runtime(threads=2)
    suite = load_suite("core")
    rows = []
    with Workers() as workers, tempfile.TemporaryDirectory() as scratch:
        reference = CheckpointTarget(parse_spec(str(base), runtime), workers, places.cache)
        capabilities = reference.capabilities()
        caches = {kind: ReferenceCache(Path(scratch), reference, capabilities, kind) for kind in ("hidden", "sketch")}
        sequences = finish(encode_items(suite, suite.profile("quick"), reference, caches["hidden"]))
        vocabulary = reference.vocabulary()
        for cache in caches.values():
            cache.prepare()
            for sequence in sequences:
                cache.fill([sequence], vocabulary)
        tokens = sum(s.scored for s in sequences)
        stored = {kind: cache_bytes(cache, tokens) for kind, cache in caches.items()}
        for change in dict.fromkeys(act[0] for act in ACTS):
            target = CheckpointTarget(parse_spec(f"{change}:{base}", runtime), workers, places.cache)
            table = {
                kind: np.concatenate(
                    [target.score(Batch.of([s]), cache.folder, cache.keys([s]), vocabulary) for s in sequences]
                )
                for kind, cache in caches.items()
            }
            rows.append(compared(change, table["hidden"], table["sketch"]))
            print(rows[-1], file=sys.stderr, flush=True)
    facts = {"tokens": tokens, "documents": len({s.cluster for s in sequences}), "vocabulary": vocabulary}
    write("sketch_error", rows, facts | {"cache_bytes_per_token": stored, "bias_limit": 0.02})


def cache_bytes(cache: ReferenceCache, tokens: int) -> float:
    """Bytes on disk per scored token, what all sequences share left aside."""
    entries = [path for path in cache.folder.glob("*.safetensors") if path.name != "head.safetensors"]
    return round(sum(path.stat().st_size for path in entries) / tokens, 1)


def compared(name: str, exact: np.ndarray, sketch: np.ndarray) -> dict[str, object]:
    """One row of the table."""
    mean = {key: float(exact[key].astype(float).mean()) for key in ("kl_ref_cand", "kl_cand_ref", "js", "tv")}
    bias = {key: float(sketch[key].astype(float).mean()) / value - 1 for key, value in mean.items()}
    error = float(np.sqrt((sketch["kl_se"].astype(float) ** 2).sum()) / len(sketch))
    kl = mean["kl_ref_cand"]
    return {
        "candidate": name,
        "kl_exact": round(kl, 7),
        "kl_bias": round(bias["kl_ref_cand"], 5),
        "kl_error": round(error / kl, 5),
        "certain_share": round(float(sketch["kl_lower"].astype(float).mean()) / kl, 4),
        "reverse_kl_bias": round(bias["kl_cand_ref"], 5),
        "js_bias": round(bias["js"], 5),
        "tv_bias": round(bias["tv"], 5),
        "largest_token_error": round(float(np.abs(sketch["kl_ref_cand"] - exact["kl_ref_cand"]).max()), 5),
    }


if __name__ == "__main__":
    main()
