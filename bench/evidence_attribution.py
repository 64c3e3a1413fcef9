"""Which cause is named for which server: fresh audits of every class, at 1.5 times the tokens that the planner asks for.

Each audit is judged as a real one: the weights process first; where it is quiet, the sampler process, then the lengths;
where all are quiet, INCONCLUSIVE (honest hosts: one class). A member is named if its family leads every other family's
best member by e^3; otherwise the cause is "unlisted". alpha 0.01, half of it for each process of the integrity axis.
"""

from __future__ import annotations

import math
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _fresh import ALL_SAMPLERS, FAMILIES, WHOLE, Audits, study_bank, tolerance_of
from _table import write
from evidence_arrays import load_study

from harness.evidence.planning import barrier, requests_needed
from harness.evidence.sequential.bank import TOLERANCE
from harness.evidence.sequential.causes import explanations
from harness.evidence.sequential.eprocess import EProcess
from harness.verdicts.audit import LEAD

ALPHA, RUNS, POWER, MORE = 0.01, 200, 0.95, 1.5
CLASSES = (
    "fp32",
    "bf16",
    "int8",
    "fp8",
    "nf4",
    "rtn4",
    "rtn3",
    "kv8",
    "no-system",
    "no-generation",
    "T0.7",
    "p0.9",
    "other",
)
QUIET = "INCONCLUSIVE"


def budget(study, audits: Audits, server: str) -> int:
    """Requests of an audit: 1.5 times the planner's 95th percentile for this server's divergence.

    One token gains ln(1/s) at most with the tolerance on, which decides for hosts that fall silent at once.
    """
    if (
        np.exp(audits.silence(server)).mean() > 0.5
    ):  # silent from the first token on: the length process, a step a request
        bar = barrier(study_bank(tuple(FAMILIES)), list(FAMILIES).index(server), 1.0, ALPHA / 2)
        return math.ceil(MORE * bar / math.log(1 / TOLERANCE))
    members = WHOLE if server in FAMILIES else ALL_SAMPLERS
    alpha = ALPHA if server in FAMILIES else ALPHA / 2
    bar = barrier(study_bank(members), members.index(server), 1.0, alpha)
    need = requests_needed(audits.divergence(server), audits.length, bar, POWER, tolerance=tolerance_of(server))
    return math.ceil(MORE * need.requests)


def named(study, audits: Audits, requests: int, rng) -> str:
    """What one audit says."""
    drawn = audits.draw(rng, requests=requests)
    weights = -math.inf
    for members, alpha, ratios in (
        (WHOLE, ALPHA, lambda: audits.ratios(drawn, WHOLE)),
        (ALL_SAMPLERS, ALPHA / 2, lambda: audits.ratios(drawn, ALL_SAMPLERS, samplers=False)),
        (tuple(FAMILIES), ALPHA / 2, lambda: audits.length_ratios(drawn, FAMILIES)),
    ):
        process = EProcess(study_bank(members))
        path = process.fold(ratios())
        if process.first_crossing(path, alpha):
            best = explanations(process)[0]
            lead = process.numerators.max() - weights if members == ALL_SAMPLERS else best.lead
            return best.best if lead >= LEAD else "unlisted"
        weights = max(weights, process.numerators.max())
    return QUIET


def main() -> None:
    study = load_study()
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    everyone = {name: Audits(study, name) for name in CLASSES}
    needs = {name: budget(study, everyone[name], name) for name in CLASSES[2:]}
    needs |= dict.fromkeys(CLASSES[:2], max(needs.values()))
    cause = FAMILIES | dict.fromkeys(ALL_SAMPLERS, "sampling")
    rows = []
    for name in CLASSES:
        started = time.monotonic()
        rng = np.random.default_rng(17)
        found = Counter(named(study, everyone[name], needs[name], rng) for _ in range(runs))
        right = found[name] if name in cause else found[QUIET]
        alike = sum(n for k, n in found.items() if cause.get(k, k) == cause.get(name, QUIET))
        row = {"server": name, "requests": needs[name], "runs": runs, "named": right / runs, "cause": alike / runs,
               "quiet": found[QUIET] / runs, "said": dict(found.most_common())}  # fmt: skip
        print(row, f"{time.monotonic() - started:.0f} s", flush=True)
        rows.append(row)
    write("evidence_attribution", rows, {"alpha": ALPHA, "bank": list(WHOLE), "samplers": list(ALL_SAMPLERS)})


if __name__ == "__main__":
    main()
