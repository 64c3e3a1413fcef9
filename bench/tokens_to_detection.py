"""Tokens until a matched build is found, over the limit ln(1/alpha)/KL; fresh tokens from each server on its own contexts.

Alone: the plain product against the reference. In the bank: 13 alternatives at several strengths and routing shares
against the supremum over honest hosts and samplers; then with the tolerance by direction on. Evaluated after every token,
alpha 0.01, at least 500 runs each. Tokens of different audits are drawn anew from exact distributions.
"""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _fresh import FAMILIES, Audits, study_bank
from _table import write
from evidence_arrays import load_study

from harness.evidence.sequential.eprocess import token_path
from harness.evidence.sequential.supremum import settings_bound

ALPHA, RUNS = 0.01, 500
SERVERS = ("int8", "fp8", "nf4", "no-system", "T0.7", "p0.9")


def crossing(path, bar: float) -> float:
    """Tokens until a path reaches a bar; infinite if it never does."""
    found = np.flatnonzero(path >= bar)
    return float(found[0] + 1) if len(found) else math.inf


def in_bank(ratios, bank, bar: float) -> tuple[float, float]:
    """Tokens until E_null, and until both E_null and E_tol, reach the bar."""
    path = token_path(ratios, bank)
    honest = ratios.honest.reshape(len(ratios.request), -1)
    vertices = np.maximum(honest.cumsum(0).max(1), 0.0)
    hopeful = np.flatnonzero(path.log_numerator - vertices >= bar)
    first = both = math.inf
    for t in hopeful:
        sums = np.zeros((ratios.request[t] + 1, *ratios.honest.shape[1:]))
        np.add.at(sums, ratios.request[: t + 1], ratios.honest[: t + 1])
        if path.log_numerator[t] - settings_bound(sums) >= bar:
            first = min(first, t + 1)
            if path.log_tolerant[t] >= bar:
                both = float(t + 1)
                break
    return float(first), both


def main() -> None:
    study = load_study()
    bar = math.log(1 / ALPHA)
    members = list(FAMILIES)
    rows = []
    for server in SERVERS:
        audits = Audits(study, server)
        full, coarse = audits.divergence(server), audits.coarse_divergence(server)
        limit = bar / coarse
        listed = server in FAMILIES
        bank = study_bank(study, members)
        rng = np.random.default_rng(11)
        horizon = int(max(14 * limit, 400))
        alone, null, tolerant, first = [], [], [], []
        started = time.monotonic()
        for _ in range(RUNS):
            drawn = audits.draw(rng, horizon)
            gain = (audits.values(server, *drawn[:2]) - audits.values("fp32", *drawn[:2])).cumsum()
            alone.append(crossing(gain, bar))
            first.append(alone[-1] <= (drawn[2] == 0).sum())
            if listed:
                a, b = in_bank(audits.ratios(drawn, members), bank, bar)
                null.append(a)
                tolerant.append(b)
        row = {"server": server, "kl": full, "kl_coarse": coarse, "limit": limit,
               "alone_median": np.median(alone) / limit, "alone_p95": np.quantile(alone, 0.95) / limit,
               "found_in_first_request": float(np.mean(first))}  # fmt: skip
        if listed:
            row |= {"bank_median": np.median(null) / limit, "bank_p95": np.quantile(null, 0.95) / limit,
                    "tolerant_median": np.median(tolerant) / limit,
                    "tolerant_p95": np.quantile(tolerant, 0.95) / limit}  # fmt: skip
        row = {k: (v if isinstance(v, str) else float(f"{v:.4g}")) for k, v in row.items()}
        print(row, f"{time.monotonic() - started:.0f} s", flush=True)
        rows.append(row)
    write("tokens_to_detection", rows, {"alpha": ALPHA, "bank": members, "runs": RUNS})


if __name__ == "__main__":
    main()
