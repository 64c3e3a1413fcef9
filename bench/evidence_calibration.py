"""How often an honest host is accused, looking after every request over 30,000 tokens; and how honest hosts lean.

Type I: fresh tokens from the reference in fp32, from its bf16 form, and from both mixed by request; the bank of an audit, weights
on 5 routing shares, supremum over honest hosts and samplers, tolerance on. At most alpha of the runs may ever cross, at
the worst moment; the bound is the exact binomial one for 2,000 runs. The processes of the integrity axis get half of alpha
each. "fp32 alone" is what the same bank would do against the reference in fp32 without the rest of the null. Hosts that are
held out of the null (another attention kernel, another number format) show what the tolerance is for.

Leaning: beta of an honest configuration that is *not* in the null (bf16 with eager attention, fp16) towards each
alternative, E_h[q/p - 1] / chi2(q, p) over the whole vocabulary; its 95 % upper bound over requests must stay under the
tolerance s = 0.25 for every member whose divergence is under 0.05 nat per token.
"""

from __future__ import annotations

import math
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _fresh import ALL_SAMPLERS, FAMILIES, WHOLE, Audits, study_bank
from _table import write
from evidence_arrays import CONFIGURATIONS, HONEST, load_study

from harness.evidence.clustered import mean_interval
from harness.evidence.sequential.eprocess import EProcess

RUNS, HORIZON = 2000, 30_000
ALPHAS = (0.01, 0.05)
HOSTS = (["fp32"], ["bf16"], ["fp32", "bf16"], ["bf16-eager"], ["fp16"])


def type_one(study, served: list[str], runs: int) -> dict[str, object]:
    """Runs in which a process ever crosses, on hosts that route among honest configurations."""
    audits, rng = Audits(study, "fp32"), np.random.default_rng(5)
    counts: Counter[str] = Counter()
    highest = -math.inf
    for _ in range(runs):
        drawn = audits.draw(rng, HORIZON, served)
        for name, members, part, ratios in (
            ("weights", WHOLE, 1.0, lambda d=drawn: audits.ratios(d, WHOLE)),
            ("sampler", ALL_SAMPLERS, 0.5, lambda d=drawn: audits.ratios(d, ALL_SAMPLERS, samplers=False)),
            ("length", tuple(FAMILIES), 0.5, lambda d=drawn: audits.length_ratios(d, FAMILIES)),
        ):
            process = EProcess(study_bank(members))
            path = process.fold(ratios())
            for alpha in ALPHAS:
                counts[f"{name}_{alpha}"] += process.first_crossing(path, part * alpha) is not None
                if name == "weights":
                    counts[f"fp32_alone_{alpha}"] += bool((path.log_numerator >= math.log(1 / alpha)).any())
            if name == "weights":
                highest = max(highest, float(np.minimum(path.log_numerator, path.log_tolerant).max()))
    names = [f"{name}_{alpha}" for name in ("weights", "sampler", "length", "fp32_alone") for alpha in ALPHAS]
    held_out = "" if set(served) <= {"fp32", "bf16"} else " (held out of the null)"
    return (
        {"host": "+".join(served) + held_out, "runs": runs, "tokens": HORIZON}
        | {name: counts[name] for name in names}
        | {"highest_log_e": round(highest, 2)}
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
    rows = []
    for served in HOSTS:
        rows.append(type_one(study, served, runs if set(served) <= {"fp32", "bf16"} else runs // 4))
        print(rows[-1], f"{time.monotonic() - started:.0f} s", flush=True)
    lean = leanings(study)
    near = [row["upper"] for row in lean if row["kl"] < 0.05]
    write("evidence_calibration", rows, {"seconds": round(time.monotonic() - started), "bank": list(WHOLE)})
    write("evidence_leanings", lean, {"tolerance": 0.25, "largest_upper_below_0.05_nat": max(near)})


if __name__ == "__main__":
    main()
