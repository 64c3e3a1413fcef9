"""Multiple choice beside lm-eval: the same items, the same numbers, less time. Both sides on one thread, in turn, fp32.

    make bench-tasks            # or one part: python bench/tasks_vs_lm_eval.py loop|command

Reference and a copy of it rounded to 4 bits, saved as a checkpoint of its own so that both sides load the same files.

- *loop*: answering the requests alone, model loaded. lm-eval's ``hf`` model at the faster of batch sizes 1 and 8 (tried on the
  first 32 items); ours through the isolated process, as a run does it. Contexts of 240 passages (about 200 tokens) with four
  choices of 3 to 8 tokens, and the same passages with one-token choices (letters), which lm-eval also answers by one pass.
- *command*: two ``lm_eval`` commands, one per model, beside one ``fidelity tasks`` command that compares them; start-up and all.
- *same*: largest difference of a log-likelihood, and items whose answer differs.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _table import RESULTS, write

from harness.config import Places
from harness.observations.lm_eval import Tasks, load_tasks
from harness.suites.load import shipped_folder
from harness.suites.requests import Continuation
from harness.targets.checkpoint.target import Workers
from harness.targets.demo_model import build_demo_reference, demo_reference
from harness.targets.opening import open_target
from harness.targets.spec import Runtime, parse_spec
from harness.tasking.asking import ROWS
from harness.tasking.planning import steps

BIN = Path(sys.executable).parent
OWN = shipped_folder() / "tasks"
RESULT = RESULTS / "tasks_vs_lm_eval.json"
LETTERS = """
task: bench_letters
custom_dataset: !function functions.items
dataset_kwargs: {file: choices/items.jsonl}
test_split: test
output_type: multiple_choice
doc_to_text: >-
  {{passage}} Question: {{question}}
  A. {{choices[0]}} B. {{choices[1]}} C. {{choices[2]}} D. {{choices[3]}} Answer:
doc_to_choice: ["A", "B", "C", "D"]
doc_to_target: answer
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
"""


def rounded(base: Path, folder: Path) -> Path:
    """A copy of the demo model on a 4-bit grid, as a checkpoint of its own."""
    import shutil

    from harness.targets.checkpoint.loading import load_model

    model, _ = load_model(parse_spec(f"rtn:4:{base}"))
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"):
        if (base / name).exists():
            shutil.copy(base / name, folder / name)
    return folder


def theirs(base: Path, tasks: Tasks) -> tuple[float, dict[str, float], int]:
    """Seconds of lm-eval's loop, its log-likelihoods by request, and the batch size."""
    from lm_eval.models.huggingface import HFLM

    name = next(iter(tasks.loaded))
    instances = tasks.loaded[name].instances
    speeds = {}
    for size in (1, 8):
        lm = HFLM(pretrained=str(base), dtype="float32", device="cpu", batch_size=size)
        started = time.perf_counter()
        lm.loglikelihood(instances[:128], disable_tqdm=True)
        speeds[size] = time.perf_counter() - started
    best = min(speeds, key=speeds.__getitem__)
    lm = HFLM(pretrained=str(base), dtype="float32", device="cpu", batch_size=best)
    started = time.perf_counter()
    found = lm.loglikelihood(instances, disable_tqdm=True)
    seconds = time.perf_counter() - started
    return seconds, {one.key: log for one, (log, _) in zip(tasks.asked(), found, strict=True)}, best


def ours(base: Path, tasks: Tasks, cache: Path) -> tuple[float, dict[str, float]]:
    """Seconds of our loop, and the log-likelihoods by request."""
    with Workers() as workers:
        target = open_target(parse_spec(str(base), Runtime(threads=1, dtype="fp32")), workers, cache)
        target.answer([], ROWS, shared=True)
        started = time.perf_counter()
        found = {}
        for step in steps(tasks.asked(), ROWS):
            answers = target.answer(step, ROWS, shared=True)
            found |= {one.key: answer.total for one, answer in zip(step, answers, strict=True)}
        return time.perf_counter() - started, found


def choice_of(logs: dict[str, float]) -> dict[str, str]:
    """The most likely choice of every item."""
    items: dict[str, dict[str, float]] = {}
    for key, log in logs.items():
        _, item, _, place = key.split("\x1f")
        items.setdefault(item, {})[place] = log
    return {item: max(choices, key=choices.__getitem__) for item, choices in items.items()}


def command(arguments: list[str]) -> float:
    """Wall time of one command."""
    started = time.perf_counter()
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode not in {0, 1, 3}:
        raise SystemExit(done.stderr[-2000:])
    return time.perf_counter() - started


def loops(base: Path, variant: Path, cache: Path, facts: dict[str, Any]) -> list[dict[str, object]]:
    """The loop alone, for both kinds of choices and both models."""
    from transformers import AutoTokenizer

    letters = OWN / "bench_letters.yaml"
    letters.write_text(LETTERS, encoding="utf-8")
    try:
        sets = {"several tokens": load_tasks(["fidelity_choices"], chat=False),
                "one token": load_tasks([str(letters)], chat=False)}  # fmt: skip
    finally:
        letters.unlink()
    tokenizer = AutoTokenizer.from_pretrained(base)
    rows: list[dict[str, object]] = []
    for kind, tasks in sets.items():
        asked = [one for one in tasks.asked() if isinstance(one, Continuation)]
        lengths = [len(tokenizer(one.opening.text or "")["input_ids"]) for one in asked]
        tails = [len(tokenizer(one.text, add_special_tokens=False)["input_ids"]) for one in asked]
        facts[f"{kind}: tokens of a context, of a choice"] = (
            f"{min(lengths)} to {max(lengths)}, {min(tails)} to {max(tails)}"
        )
        for which, folder in (("reference", base), ("4-bit copy", variant)):
            seconds, own_logs = ours(folder, tasks, cache)
            their_seconds, their_logs, batch = theirs(folder, tasks)
            gap = max(abs(own_logs[key] - their_logs[key]) for key in own_logs)
            mine, others = choice_of(own_logs), choice_of(their_logs)
            rows.append({
                "what": f"loop, {kind}", "model": which, "items": len(mine), "ours_s": round(seconds, 1),
                "lm_eval_s": round(their_seconds, 1), "ratio": round(seconds / their_seconds, 3),
                "lm_eval_batch": batch, "largest_difference": float(f"{gap:.2g}"),
                "answers_that_differ": sum(mine[item] != others[item] for item in mine),
            })  # fmt: skip
            print(json.dumps(rows[-1]), flush=True)
    return rows


def commands(base: Path, variant: Path, work: Path) -> list[dict[str, object]]:
    """Whole commands, start-up and all: two of lm-eval beside one of ours. lm-eval runs at batch size 1."""
    ours_wall = command([
        str(BIN / "fidelity"), "tasks", str(base), str(variant), "--tasks", "fidelity_choices", "--no-chat", "--no-control",
        "--dtype", "fp32", "--threads", "1", "--fresh", "--results", str(work / "results"),
    ])  # fmt: skip
    print("ours", round(ours_wall, 1), flush=True)
    their_wall = sum(
        command([
            str(BIN / "lm_eval"), "run", "--model", "hf", "--model_args", f"pretrained={folder},dtype=float32", "--tasks",
            "fidelity_choices", "--include_path", str(OWN), "--device", "cpu", "--batch_size", "1", "--output_path",
            str(work / "theirs"), "--log_samples",
        ])
        for folder in (base, variant)
    )  # fmt: skip
    return [{
        "what": "command, several tokens", "model": "both", "items": 240, "ours_s": round(ours_wall, 1),
        "lm_eval_s": round(their_wall, 1), "ratio": round(ours_wall / their_wall, 3), "lm_eval_batch": 1,
        "largest_difference": None, "answers_that_differ": None,
    }]  # fmt: skip


def main() -> None:
    import lm_eval
    import torch

    parts = sys.argv[1:] or ["loop", "command"]
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    places = Places.default()
    for _ in build_demo_reference(places.cache, None):
        pass
    base = demo_reference(places.cache)
    stored = json.loads(RESULT.read_text()) if RESULT.exists() else {"rows": [], "facts": {}}
    rows: list[dict[str, object]] = [row for row in stored["rows"] if row["what"].split(",")[0] not in parts]
    facts: dict[str, Any] = {key: value for key, value in stored["facts"].items() if "tokens of a context" in key}
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        variant = rounded(base, work / "rounded")
        if "loop" in parts:
            rows = loops(base, variant, places.cache, facts) + rows
        if "command" in parts:
            rows += commands(base, variant, work)
    write("tasks_vs_lm_eval", rows, facts | {"threads": 1, "lm_eval": lm_eval.__version__, "torch": torch.__version__})


if __name__ == "__main__":
    main()
