"""Seconds and memory of the e-process over a million tokens and 16 alternatives, folded a thousand requests at a time.

Each row is a process of its own. Time is that of folding and of the final supremum; memory is the growth of the resident
set over all blocks, blocks included. "all strengths": half of the alternatives at four strengths each, as in an audit.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _table import write

TOKENS, LENGTH, BLOCK, ALTERNATIVES = 1 << 20, 64, 256, 16
SETTINGS = {"full strength, 2 honest": (False, 1), "all strengths, 26 samplers x 2 honest": (True, 26)}


def run(weak: bool, settings: int) -> tuple[float, float]:
    """Seconds and MB."""
    from harness.evidence.sequential.bank import STRENGTHS, Alternative, Bank
    from harness.evidence.sequential.eprocess import EProcess
    from harness.evidence.sequential.ratios import TokenRatios

    rng = np.random.default_rng(1)
    bank = Bank(
        tuple(
            Alternative(f"a{k}", f"family {k % 4}", STRENGTHS if weak and k % 2 else STRENGTHS[:1])
            for k in range(ALTERNATIVES)
        )
    )
    request = np.repeat(np.arange(BLOCK), LENGTH)
    process, spent = EProcess(bank), 0.0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(TOKENS // (LENGTH * BLOCK)):
        members = 0.1 * rng.standard_normal((len(request), ALTERNATIVES)) - 0.005
        honest = 0.04 * rng.standard_normal((len(request), settings, 2)) - 0.0008
        honest[:, 0, 0] = 0.0
        started = time.perf_counter()
        process.fold(TokenRatios(BLOCK, request, members, honest))
        spent += time.perf_counter() - started
    started = time.perf_counter()
    process.log_e()
    spent += time.perf_counter() - started
    return spent, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def main() -> None:
    if len(sys.argv) > 1:
        print(*run(*SETTINGS[sys.argv[1]]))
        return
    rows = []
    for name in SETTINGS:
        found = []
        for _ in range(5):
            out = subprocess.run([sys.executable, __file__, name], capture_output=True, text=True, check=True).stdout
            found.append([float(part) for part in out.split()])
        seconds, memory = np.median(found, axis=0)
        rows.append({"bank": name, "tokens": TOKENS, "alternatives": ALTERNATIVES, "seconds": round(seconds, 2),
                     "seconds_least": round(min(f[0] for f in found), 2), "mb": round(memory)})  # fmt: skip
    write("evidence_speed", rows, {})


if __name__ == "__main__":
    main()
