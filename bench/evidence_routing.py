"""Hosts that serve a build on a part of the requests, and builds that nobody listed; against what the planner says.

Routing: each request goes to the build with probability pi, else to the reference; requests until both e-processes reach
1/alpha. The interval for pi (95 %) is taken after a fixed number of requests and covers or does not. Planner: its figure
for half and for 95 % of the audits over the simulated one; it is asked to be within a quarter where it says more than a
few requests.

Unlisted: the scheme of the server is left out of the bank, as far as it shares code (all GGUF types, all round to
nearest). 8-bit schemes stay INCONCLUSIVE; the smallest divergence that the audit would have found stands beside.
"""

from __future__ import annotations

import math
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _fresh import ALL_SAMPLERS, SCHEMES, WARM, WHOLE, Audits, in_bank, merged, study_bank, tolerance_of
from _table import write
from evidence_arrays import load_study

from harness.evidence.planning import barrier, requests_needed, smallest_divergence
from harness.evidence.sequential.bank import TOLERANCE
from harness.evidence.sequential.causes import routing_shares
from harness.evidence.sequential.eprocess import EProcess
from harness.verdicts.audit import LEAD

ALPHA, RUNS, COVERED = 0.01, 500, 1000
ROUTED = [("nf4", 0.5), ("nf4", 0.25), ("nf4", 0.1), ("fp8", 1.0), ("fp8", 0.5), ("fp8", 0.25), ("kv8", 1.0), ("int8", 1.0),
          ("int8", 0.5), ("int8", 0.25)]  # fmt: skip
UNLISTED = ("nf4", "Q4_0", "rtn4", "int8", "fp8", "Q8_0", "kv8")
EIGHT_BIT_TOKENS = 6000


def routed(parts: tuple[Audits, Audits], share: float, requests: int, members, rng):
    """Ratios of an audit whose requests go to the build with probability ``share``."""
    to = rng.random(requests) < share
    mixed = []
    for audits, numbers in ((parts[0], np.flatnonzero(to)), (parts[1], np.flatnonzero(~to))):
        if len(numbers):
            drawn = audits.draw(rng, requests=len(numbers))
            mixed.append((audits.ratios(drawn, members), numbers))
    return merged(mixed)


def routing(study, server: str, share: float, runs: int, covered: int) -> dict[str, object]:
    """One host that serves a build on a share of the requests."""
    parts = (Audits(study, server), Audits(study, "fp32"))
    bank = study_bank(WHOLE)
    bar = barrier(bank, WHOLE.index(server), share, ALPHA)
    plans = {
        power: requests_needed(
            parts[0].coarse_divergence(server), parts[0].length, bar, power, share, tolerance_of(server)
        ).requests
        for power in (0.5, 0.95)
    }
    rng = np.random.default_rng(23)
    horizon = min(math.ceil(3 * plans[0.95]) + 10, 4000)
    found, plain = [], []
    for _ in range(runs):
        process = EProcess(bank)
        path = process.fold(routed(parts, share, horizon, WHOLE, rng))
        found.append(process.first_crossing(path, ALPHA) or math.inf)
        plain.append(process.first_crossing(replace(path, log_tolerant=path.log_numerator + 99.0), ALPHA) or math.inf)
    inside = 0
    requests = max(math.ceil(plans[0.5]), 30)
    for _ in range(covered):
        process = EProcess(bank)
        ratios = routed(parts, share, requests, WHOLE, rng)
        process.fold(ratios)
        build = ratios.per_request(ratios.members)[:, None, [WHOLE.index(server)]]
        (one,) = routing_shares(process, build, (server,), 0.05)
        inside += bool(one.low <= share <= one.high)
    half, most = (np.quantile(found, share, method="higher") for share in (0.5, 0.95))
    return {"host": f"{server} on {share:.0%}", "requests_median": float(half), "requests_p95": float(most),
            "tokens_per_request": round(parts[0].length, 1),
            "found_in_50": float(np.mean(np.array(found) <= 50)),
            "found_in_50_without_tolerance": float(np.mean(np.array(plain) <= 50)), "planner_median": round(plans[0.5], 1),
            "planner_p95": round(plans[0.95], 1), "planner_median_over": round(plans[0.5] / half, 2),
            "planner_p95_over": round(plans[0.95] / most, 2), "share_covered": inside, "share_runs": covered}  # fmt: skip


def unlisted(study, server: str, runs: int) -> dict[str, object]:
    """One server whose scheme the bank does not hold."""
    members = tuple(name for name in WHOLE if WARM.get(name, (name, ""))[0] not in SCHEMES[server])
    audits, bank = Audits(study, server), study_bank(members)
    far = audits.divergence(server) > 0.1
    tokens = 2000 if far else EIGHT_BIT_TOKENS
    rng = np.random.default_rng(29)
    found, either, called = [], [], 0
    for _ in range(runs):
        drawn = audits.draw(rng, tokens)
        weights = in_bank(audits.ratios(drawn, members), bank, math.log(1 / ALPHA))[1]
        sampler = in_bank(
            audits.ratios(drawn, ALL_SAMPLERS, samplers=False), study_bank(ALL_SAMPLERS), math.log(2 / ALPHA)
        )[1]
        found.append(weights)
        either.append(min(weights, sampler))
        called += _called_sampling(audits, drawn, members, bank) if sampler < weights else 0
    bar = barrier(bank, 0, 1.0, ALPHA)
    return {"host": f"{server}, unlisted", "tokens_median": float(np.quantile(found, 0.5, method="higher")),
            "tokens_p95": float(np.quantile(found, 0.95, method="higher")),
            "found_in_1000_tokens": float(np.mean(np.array(found) <= 1000)),
            "found_on_any_axis_in_1000_tokens": float(np.mean(np.array(either) <= 1000)), "called_sampling": called / runs,
            "found": float(np.mean(np.isfinite(found))), "within_tokens": tokens, "kl": float(f"{audits.divergence(server):.3g}"),
            "mde_listed": float(f"{smallest_divergence(tokens, audits.length, bar, 0.95, 1.0, TOLERANCE):.3g}")}  # fmt: skip


def _called_sampling(audits: Audits, drawn, members, bank) -> bool:
    """Whether an audit that ends here would name the sampler: it leads every member of the bank by e^3."""
    best = []
    for names, one, samplers in ((members, bank, True), (ALL_SAMPLERS, study_bank(ALL_SAMPLERS), False)):
        process = EProcess(one)
        process.fold(audits.ratios(drawn, names, samplers=samplers))
        best.append(float(process.numerators.max()))
    return best[1] - best[0] >= LEAD


def main() -> None:
    study = load_study()
    runs, covered = (int(sys.argv[1]), int(sys.argv[2])) if len(sys.argv) > 2 else (RUNS, COVERED)
    rows = []
    for server, share in ROUTED:
        started = time.monotonic()
        rows.append(routing(study, server, share, runs, covered))
        print(rows[-1], f"{time.monotonic() - started:.0f} s", flush=True)
    missing = [unlisted(study, server, runs) for server in UNLISTED]
    for row in missing:
        print(row, flush=True)
    write("evidence_routing", rows, {"alpha": ALPHA, "runs": runs, "interval": 0.95})
    write("evidence_unlisted", missing, {"alpha": ALPHA, "runs": runs})


if __name__ == "__main__":
    main()
