"""`compare` beside two busy loops over the same on idle processors, as pools were made before and as they are made now.

    make bench-contention

Before: as many threads as the machine has processors, which spin while they wait (300,000 rounds, what libgomp does where
nothing is said). Now: as many as affinity and quota leave, waiting passively. One small comparison (a bf16 copy of the demo's
model on three texts, the reference's answers cached) runs in a process of its own; the four ways alternate in every round, the
ratios are of medians over rounds. Busy loops are programs of their own. Seconds are from the first token to the last: importing
libraries is not what differs.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _table import write

from harness.config import Places
from harness.observations.events import Stop, TargetFinished, TargetStarted
from harness.pipeline import Candidate, Request, compare
from harness.processors import usable
from harness.suites.model import Profile
from harness.targets.demo_model import build_demo_reference, demo_reference
from harness.targets.spec import Runtime

ROUNDS, LOOPS = 3, 2
PART = Profile(documents=3, prompts=0, band_documents=3)
SPINNING = {"GOMP_SPINCOUNT": "300000", "OMP_NUM_THREADS": str(os.cpu_count())}


def once(cache: Path, results: str) -> None:
    """The comparison that is timed; prints its seconds."""
    base = str(demo_reference(cache))
    request = Request(
        base, (Candidate(f"dtype:bf16:{base}", "bf16"),), profile="small", part=PART, band=False, ladder=(), rebuild=False,
        runtime=Runtime(), fresh=True,
    )  # fmt: skip
    first = last = 0.0
    for event in compare(request, Places(Path(results), cache), Stop()):
        if isinstance(event, TargetStarted):
            first = time.monotonic()
        last = time.monotonic() if isinstance(event, TargetFinished) else last
    print(last - first)


@contextmanager
def busy(loops: int) -> Iterator[None]:
    """Programs that do nothing but run."""
    running = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True) for _ in range(loops)
    ]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def timed(cache: Path, extra: dict[str, str], loops: int) -> float:
    """Seconds of one comparison in a process of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    command = [sys.executable, __file__, str(cache)]
    with tempfile.TemporaryDirectory() as results, busy(loops):
        done = subprocess.run([*command, results], env=kept | extra, check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout.strip().splitlines()[-1])


def main() -> None:
    if len(sys.argv) > 1:
        once(Path(sys.argv[1]), sys.argv[2])
        return
    cache = Places.default().cache
    for line in build_demo_reference(cache, None):
        print(line)
    ways = {"before": SPINNING, "now": {}}
    for extra in ways.values():  # the reference's answers depend on the number of threads; they are cached here
        timed(cache, extra, 0)
    spent: dict[tuple[str, int], list[float]] = {}
    for number in range(ROUNDS):
        for way, extra in ways.items():
            for loops in (0, LOOPS):
                spent.setdefault((way, loops), []).append(timed(cache, extra, loops))
        told = "  ".join(f"{way} beside {loops}: {values[-1]:.1f} s" for (way, loops), values in spent.items())
        print(f"round {number + 1}: {told}", flush=True)
    middle = {key: statistics.median(values) for key, values in spent.items()}
    rows = [
        {"pools": way, "idle_s": round(middle[way, 0], 1), "beside_two_s": round(middle[way, LOOPS], 1),
         "ratio": round(middle[way, LOOPS] / middle[way, 0], 2),
         "beside_two_over_now_idle": round(middle[way, LOOPS] / middle["now", 0], 2)}
        for way in ways
    ]  # fmt: skip
    write("contention", rows, {"rounds": ROUNDS, "busy_loops": LOOPS, "threads": usable()})


if __name__ == "__main__":
    main()
