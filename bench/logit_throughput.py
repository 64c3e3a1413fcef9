"""What exact full-vocabulary comparison costs beside the forward passes themselves and beside lm-eval. One run, in turn.

    make bench-logits

fp32 SmolLM2-135M against itself rounded to 4 bits, 32 windows of 512 tokens (16,384 tokens, all scored), two threads,
loading and start-up excluded, medians over the rounds in which every row takes its turn:

(a) forward passes of the candidate with logits, in process
(r) one replay of the reference's head from hidden states, in process
(f) the reference's forward passes as ``compare`` makes them, hidden states written to the cache
(b) ``compare``'s collection of the candidate with the reference cached: pipe, journal and all
(c) the same with the reference not cached: f + b
(d) lm-eval's ``hf`` model, ``loglikelihood_rolling`` of the same text, the loop alone
(e) the whole ``lm_eval`` command on the same text as a task of its own, start-up and all; once, not a median

Beside it: peak memory against tokens, and bytes per scored token of both reference caches for the demo's model (49,152
ids, width 576) and for a two-layer stand-in of a model with 262,144 ids (width 640), in fp32 and bf16.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from _table import write

from harness.config import Places
from harness.observations.collect import collect_reference, collect_target
from harness.observations.journal import Journal
from harness.observations.plan import Plan, PlannedTarget
from harness.observations.planning import Scope, Wanted, make_plan
from harness.observations.reference_cache import ReferenceCache
from harness.prompts.windows import perplexity_windows
from harness.suites.load import load_suite
from harness.targets.checkpoint.head import find_head
from harness.targets.checkpoint.loading import load_model
from harness.targets.checkpoint.target import CheckpointTarget, Workers
from harness.targets.demo_model import build_demo_reference, demo_reference
from harness.targets.spec import Runtime, parse_spec
from harness.targets.tiles import tile_rows

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.support.toy import make_toy

WINDOW, WINDOWS, ROUNDS = 512, 32, 5


def core_text() -> str:
    suite = load_suite("core")
    return "\n\n".join(item.text for item in suite.items if item.text) * 2


def peak_mb(pid: int) -> float:
    """Largest resident size of a process so far, in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return float("nan")


def timed(work) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    places = Places.default()
    for line in build_demo_reference(places.cache, None):
        print(line)
    base = demo_reference(places.cache)
    torch.set_num_threads(2)
    runtime = Runtime(threads=2)
    spec = parse_spec(f"rtn:4:{base}", runtime)
    model, _ = load_model(spec)
    head = find_head(model)
    hidden = torch.randn(WINDOW, head.weight.shape[1])

    with Workers() as workers, tempfile.TemporaryDirectory() as scratch:
        reference = CheckpointTarget(parse_spec(str(base), runtime), workers, places.cache)
        candidate = CheckpointTarget(spec, workers, places.cache)
        (encoded,) = reference.tokenize([core_text()])
        sequences = [
            # every position is scored here, so that tokens forwarded and tokens scored are the same number
            type(s)(s.key, s.domain, s.cluster, s.ids, s.segments, 0, WINDOW)
            for s in perplexity_windows(list(encoded.ids), WINDOW, WINDOWS, None)
        ]
        tokens = sum(s.scored for s in sequences)
        ids = [torch.tensor([s.ids]) for s in sequences]
        suite = load_suite("core")
        plan = make_plan(
            reference, [Wanted(candidate, "fp32")], suite, "full", sequences, reference.vocabulary(), {},
            Scope(band=False, bits=()),
        )  # fmt: skip
        lm, request = lm_eval_side(base, core_text(), sequences)
        times: dict[str, list[float]] = {name: [] for name in "arfbd"}
        memory: dict[int, float] = {}
        for index in range(ROUNDS):
            times["a"].append(timed(lambda: forward_all(model, ids)))
            times["r"].append(timed(lambda: replay(head, hidden)))
            cache = ReferenceCache(Path(scratch) / str(index), reference, reference.capabilities())
            cache.prepare()
            times["f"].append(timed(lambda cache=cache: list(collect_reference(plan, cache))))
            candidate.capabilities()  # loads the candidate, so that loading is not timed
            spent, peaks = collect(plan, plan.targets[0], candidate, cache, Path(scratch) / f"r{index}", workers)
            times["b"].append(spent)
            memory = memory or peaks
            times["d"].append(timed(lambda: lm.loglikelihood_rolling([request])))
            print(f"round {index + 1}: " + "  ".join(f"{k} {v[-1]:.1f} s" for k, v in times.items()), flush=True)
    times["e"] = [timed(lambda: lm_eval_command(base, sequences))]
    report(times, tokens, memory, cache_sizes(places.cache, base))


def forward_all(model, ids) -> None:
    with torch.inference_mode():
        for window in ids:
            model(input_ids=window, use_cache=False)


def replay(head, hidden) -> None:
    with torch.inference_mode():
        step = tile_rows(head.vocabulary)
        for _ in range(WINDOWS):
            for start in range(0, WINDOW, step):
                head.logits(hidden[start : start + step])


def collect(
    plan: Plan,
    planned: PlannedTarget,
    candidate: CheckpointTarget,
    cache: ReferenceCache,
    results: Path,
    workers: Workers,
) -> tuple[float, dict[int, float]]:
    """Seconds of one collection into a fresh journal, and the peak memory of both processes at 1k, 4k and 16k tokens."""
    journal = Journal.create(results, plan, "bench")
    pid = workers.for_base(candidate.spec.base).pid
    peaks: dict[int, float] = {}
    done = 0
    started = time.perf_counter()
    for event in collect_target(plan, planned, lambda _: candidate, cache, journal):
        done += getattr(event, "tokens", 0) if type(event).__name__ == "TokensScored" else 0
        if done in {1024, 4096, 16384} and done not in peaks:
            peaks[done] = peak_mb(pid)
    spent = time.perf_counter() - started
    journal.close()
    return spent, peaks


def lm_eval_side(base: Path, text: str, sequences: list) -> tuple:
    """lm-eval's hf model on the reference, and one rolling request over the same tokens."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    lm = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=1, max_length=WINDOW)
    same = tokenizer.decode([token for s in sequences for token in s.ids])
    return lm, Instance(request_type="loglikelihood_rolling", doc={}, arguments=(same,), idx=0)


def lm_eval_command(base: Path, sequences: list) -> None:
    """``lm_eval run`` on a local task that asks for the rolling log-likelihood of the same tokens."""
    from transformers import AutoTokenizer

    text = AutoTokenizer.from_pretrained(base).decode([token for s in sequences for token in s.ids])
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "text.jsonl").write_text(json.dumps({"page": text}) + "\n")
        task = {
            "task": "bench_rolling", "dataset_path": "json", "test_split": "test", "doc_to_text": "",
            "dataset_kwargs": {"data_files": {"test": str(Path(scratch) / "text.jsonl")}},
            "output_type": "loglikelihood_rolling", "doc_to_target": "{{page}}",
            "metric_list": [{"metric": "word_perplexity"}],
        }  # fmt: skip
        (Path(scratch) / "bench_rolling.yaml").write_text(json.dumps(task))  # JSON is YAML
        model = f"pretrained={base},dtype=float32,max_length={WINDOW}"
        command = ["lm_eval", "--model", "hf", "--model_args", model, "--tasks", "bench_rolling",
                   "--include_path", scratch, "--batch_size", "1", "--device", "cpu"]  # fmt: skip
        done = subprocess.run(
            [str(Path(sys.executable).parent / command[0]), *command[1:]], capture_output=True, text=True, check=False,
            env=os.environ | {"HF_HOME": scratch, "HF_DATASETS_OFFLINE": "1", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "2"},
        )  # fmt: skip
        if done.returncode or "word_perplexity" not in done.stdout:
            sys.exit(f"lm_eval failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")


def cache_sizes(cache: Path, base: Path) -> dict[str, dict[str, float]]:
    """Bytes on disk per scored token of both caches, and of the head that hidden states need once."""
    sizes: dict[str, dict[str, float]] = {}
    with Workers() as workers, tempfile.TemporaryDirectory() as scratch:
        wide = make_toy(Path(scratch) / "wide", vocabulary=262_144, hidden_size=640, num_attention_heads=8)
        for name, folder in (("49,152 ids", base), ("262,144 ids", wide)):
            for dtype in ("fp32", "bf16"):
                target = CheckpointTarget(parse_spec(str(folder), Runtime(dtype=dtype, threads=2)), workers, cache)
                (encoded,) = target.tokenize([core_text()[:20_000]])
                sequences = perplexity_windows(list(encoded.ids), WINDOW, 2, None)
                for kind in ("hidden", "sketch"):
                    stored = ReferenceCache(Path(scratch), target, target.capabilities(), kind)
                    stored.prepare()
                    for sequence in sequences:
                        stored.fill([sequence], target.vocabulary())
                    head = stored.folder / "head.safetensors"
                    entries = [path for path in stored.folder.glob("*.safetensors") if path != head]
                    tokens = sum(s.scored for s in sequences)
                    entry = sizes.setdefault(f"{name}, {dtype}", {})
                    entry[f"{kind}_bytes_per_token"] = round(sum(p.stat().st_size for p in entries) / tokens, 1)
                    if head.exists():
                        entry["head_bytes_once"] = head.stat().st_size
    return sizes


def report(times: dict[str, list[float]], tokens: int, memory: dict[int, float], caches: dict) -> None:
    m = {name: statistics.median(values) for name, values in times.items()}
    m["c"] = statistics.median(f + b for f, b in zip(times["f"], times["b"], strict=True))
    rows = [
        {"row": name, "median_s": round(m[name], 2), "tokens_per_s": round(tokens / m[name], 1)} for name in "arfbcde"
    ]
    ratios = {
        "b / (a + r)": m["b"] / (m["a"] + m["r"]),
        "b / a": m["b"] / m["a"],
        "c / 2a": m["c"] / (2 * m["a"]),
        "scored tokens per second, b over d": m["d"] / m["b"],
    }
    facts = {
        "tokens": tokens,
        "rounds": ROUNDS,
        "threads": 2,
        "ratios": {name: round(value, 3) for name, value in ratios.items()},
        "peak_mb_of_the_isolated_process_by_tokens": {str(k): round(v, 1) for k, v in memory.items()},
        "growth_mb_1k_to_16k": round(memory[16384] - memory[1024], 1),
        "reference_cache": caches,
        "torch": torch.__version__,
    }
    write("logit_throughput", rows, facts)
    for name, value in facts.items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
