"""Tokens until a matched alternative is found, over the limit ln(1/alpha)/KL; fresh tokens on each server's own contexts.

Alone: the plain product against the reference. In the bank: all alternatives at several strengths and routing shares
against the supremum over honest hosts and samplers; then with the tolerance by direction on. Watched after every token,
alpha 0.01, at least 500 runs each. Samplers are found by a process of their own, whose members are samplers.

A lost generation prompt is not here: such a host falls silent at once, which the length process sees in the first request.

Growth: mean log ratio per drawn token with its interval over requests, beside KL(server || reference).
"""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _fresh import ALL_SAMPLERS, FAMILIES, WHOLE, Audits, crossing, in_bank, study_bank
from _table import write
from evidence_arrays import load_study

from harness.evidence.clustered import mean_interval

ALPHA, RUNS = 0.01, 500
SERVERS = ("int8", "fp8", "Q8_0", "kv8", "nf4", "Q4_0", "rtn4", "no-system", "other", "T0.7", "p0.9")


def growth(audits: Audits, server: str, rng) -> tuple[float, float]:
    """95 % interval of the mean log ratio of fresh tokens, requests as clusters."""
    drawn = audits.draw(rng, 60_000)
    found = mean_interval(audits.values(server, drawn) - audits.values("fp32", drawn), drawn.request)
    return found.low, found.high


def measure(study, server: str, runs: int) -> dict[str, object]:
    """One row of the table."""
    bar = math.log(1 / ALPHA)
    audits = Audits(study, server)
    sampler = server not in FAMILIES
    members = list(ALL_SAMPLERS) if sampler else list(WHOLE)
    bank = study_bank(members)
    full, coarse = audits.divergence(server), audits.coarse_divergence(server)
    limit = bar / coarse
    rng = np.random.default_rng(11)
    low, high = growth(audits, server, rng)
    horizon = int(max(14 * limit, 400))
    alone, null, tolerant, first = [], [], [], []
    for _ in range(runs):
        drawn = audits.draw(rng, horizon)
        gain = (audits.values(server, drawn) - audits.values("fp32", drawn)).cumsum()
        alone.append(crossing(gain, bar))
        a, b = in_bank(audits.ratios(drawn, members, samplers=not sampler), bank, bar)
        null.append(a)
        tolerant.append(b)
        first.append([x <= (drawn.request == 0).sum() for x in (alone[-1], b)])
    row = {"server": server, "kl": full, "kl_coarse": coarse, "growth_low": low, "growth_high": high, "limit": limit}
    for name, found in (("alone", alone), ("bank", null), ("tolerant", tolerant)):
        row |= {f"{name}_median": np.median(found) / limit, f"{name}_p95": np.quantile(found, 0.95) / limit}
    row |= {"tokens_median": np.median(tolerant), "tokens_p95": np.quantile(tolerant, 0.95)}
    alone_first, bank_first = np.mean(first, axis=0)
    row |= {"first_request_alone": alone_first, "first_request_bank": bank_first}
    return {k: (v if isinstance(v, str) else float(f"{v:.4g}")) for k, v in row.items()}


def main() -> None:
    study = load_study()
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    rows = []
    for server in SERVERS:
        started = time.monotonic()
        rows.append(measure(study, server, runs))
        print(rows[-1], f"{time.monotonic() - started:.0f} s", flush=True)
    facts = {"alpha": ALPHA, "runs": runs, "bank": list(WHOLE), "samplers": list(ALL_SAMPLERS)}
    write("tokens_to_detection", rows, facts)


if __name__ == "__main__":
    main()
