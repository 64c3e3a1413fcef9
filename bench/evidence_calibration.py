"""How often an honest host is accused, looking after every request over 30,000 tokens; and how honest hosts lean.

Type I: fresh tokens from the reference in fp32, from its bf16 form, and from both mixed by request; the bank of an audit, weights
on 5 routing shares, supremum over honest hosts and samplers, tolerance on. At most alpha of the runs may ever cross, at
the worst moment; the bound is the exact binomial one for 2,000 runs.

Leaning: beta of an honest configuration that is *not* in the null (bf16 with eager attention, fp16) towards each
alternative, E_h[q/p - 1] / chi2(q, p) over the whole vocabulary; its 95 % upper bound over requests must stay under the
tolerance s = 0.25 for every member whose divergence is under 0.05 nat per token.
"""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _fresh import FAMILIES, WHOLE, Audits, study_bank
from _table import write
from evidence_arrays import CONFIGURATIONS, HONEST, load_study

from harness.evidence.clustered import mean_interval
from harness.evidence.sequential.eprocess import EProcess

RUNS, HORIZON = 2000, 30_000
ALPHAS = (0.01, 0.05)


def type_one(study, served: list[str], runs: int) -> dict[str, object]:
    """Runs that ever cross, on hosts that route among honest configurations."""
    members = list(WHOLE)
    audits, bank = Audits(study, "fp32"), study_bank(members)
    rng = np.random.default_rng(5)
    crossed, plain = dict.fromkeys(ALPHAS, 0), dict.fromkeys(ALPHAS, 0)
    highest = []
    for _ in range(runs):
        process = EProcess(bank)
        path = process.fold(audits.ratios(audits.draw(rng, HORIZON, served), members))
        for alpha in ALPHAS:
            crossed[alpha] += process.first_crossing(path, alpha) is not None
            plain[alpha] += bool((path.log_numerator >= math.log(1 / alpha)).any())
        highest.append(float(np.minimum(path.log_numerator, path.log_tolerant).max()))
    return (
        {"host": "+".join(served), "runs": runs, "tokens": HORIZON}
        | {f"crossed_{alpha}": crossed[alpha] for alpha in ALPHAS}
        | {f"fp32_alone_{alpha}": plain[alpha] for alpha in ALPHAS}
        | {"highest_log_e": round(max(highest), 2)}
    )


def leanings(study) -> list[dict[str, object]]:
    """beta per honest configuration and alternative, with its 95 % upper bound over requests."""
    rows = []
    requests = study.request[study.of("fp32")].astype(np.int64)
    for name in FAMILIES:
        k = CONFIGURATIONS.index(name)
        size = float(study.kl[k, study.of("fp32")].mean())
        chi2 = study.chi2[k]
        for h, honest in enumerate(HONEST):
            found = mean_interval(study.beta[h, k], requests)
            upper = found.high / float(chi2.mean())
            rows.append({"alternative": name, "kl": float(f"{size:.4g}"), "honest": honest,
                         "beta": float(f"{found.value / chi2.mean():.4g}"), "upper": float(f"{upper:.4g}")})  # fmt: skip
    return rows


def main() -> None:
    study = load_study()
    started = time.monotonic()
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    rows = [type_one(study, served, runs) for served in (["fp32"], ["bf16"], ["fp32", "bf16"])]
    for row in rows:
        print(row, flush=True)
    lean = leanings(study)
    near = [row["upper"] for row in lean if row["kl"] < 0.05]
    facts = {"seconds": round(time.monotonic() - started), "bank": list(WHOLE), "leanings": lean,
             "largest_upper_near": max(near) if near else None}  # fmt: skip
    write("evidence_calibration", rows, facts)


if __name__ == "__main__":
    main()
