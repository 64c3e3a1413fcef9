"""Peak memory of scoring replies under a whole bank, over that of the reference alone and over the bytes of its weights.

Resident memory of the isolated process, sampled every 20 ms, on eight local replies; each row is a process of its own.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _table import write

from harness.auditing.asking import render_prompts
from harness.auditing.scorable import Scorable, until_silent
from harness.auditing.scoring import Scoring
from harness.config import Places
from harness.prompts.conversation import FROZEN_CLOCK
from harness.prompts.questions import draw_questions
from harness.targets.bank import FULL, bank_members, honest_members
from harness.targets.checkpoint.target import Workers
from harness.targets.demo_model import demo_reference
from harness.targets.prompt_source import open_prompt_source
from harness.targets.spec import Runtime, parse_spec


def peak_of(run) -> float:
    """Largest resident memory of all children while ``run`` runs, in MB."""
    found, over = [0.0], threading.Event()

    def watch() -> None:
        me = psutil.Process()
        while not over.is_set():
            held = 0
            for child in me.children(recursive=True):
                try:
                    held += child.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            found[0] = max(found[0], held / 2**20)
            time.sleep(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        run()
    finally:
        over.set()
        watcher.join()
    return found[0]


def main() -> None:
    cache = Places.default().cache
    reference = str(demo_reference(cache))
    source, spec = open_prompt_source(reference, cache), parse_spec(reference, Runtime(threads=1))
    questions = draw_questions(8, "memory")
    whole = [*honest_members(spec, FULL), *bank_members(FULL, spec)]
    prompts = render_prompts(source, questions, [m.fault for m in whole if m.fault], [FROZEN_CLOCK])
    weights = (Path(reference) / "model.safetensors").stat().st_size / 2**20
    peaks = {}
    for name, members in (("reference alone", whole[:1]), ("whole bank", whole)):

        def run(members=members) -> None:
            with Workers() as workers:
                bench = Scoring(workers, cache, members, prompts)
                replies = bench.open(members[0].spec).generate(prompts[""], [64] * 8, 1)
                for _ in bench.evidence([Scorable(until_silent(reply, bench.silent)) for reply in replies]):
                    pass

        peaks[name] = peak_of(run)
    rows = [{"scored": name, "peak_mb": round(peak), "over_reference_alone": round(peak / peaks["reference alone"], 2),
             "over_weights": round(peak / weights, 2)} for name, peak in peaks.items()]  # fmt: skip
    write("rescore_memory", rows, {"weights_mb": round(weights), "bank": list(FULL)})


if __name__ == "__main__":
    main()
