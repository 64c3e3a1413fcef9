"""Gates on real documents: how often they fail at their bound, and whether a checkpoint that is 20 % worse is caught.

    make bench-gates

Population: the 104 documents of the core suite, with the token rows of the demo model's nf4 copy (the baseline) and of the
same weights moved towards fp4 until their mean KL is 1.2 times as large. Every draw takes documents with replacement, the
same for both sides, so the true value of every gated number is the population's. Unit: the document. Null of a failure: the
number is exactly at its bound, which is the population's own value. Error rate: alpha = 0.025, one-sided, of a whole policy.
Alternative: no worse than the baseline by a tenth, which is false by another tenth. Fixed seed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from _blends import blend
from _table import write

from harness.comparisons.baselines import BASELINE_VERSION, Baseline, Conditions, digests_of, document_entries
from harness.comparisons.distributions.documents import DocumentSums, difference, over_ladder, ratio
from harness.comparisons.distributions.metrics import METRICS, QUANTILES
from harness.comparisons.table import TokenTable
from harness.config import Places
from harness.observations.events import Stop
from harness.observations.journal import Journal
from harness.pipeline import Candidate, Request, compare
from harness.prompts.sequences import Sequence as Tokens
from harness.reports.stored import table_of
from harness.targets.demo_model import build_demo_reference, demo_reference
from harness.targets.spec import Runtime
from harness.verdicts.gates.policy import NO_WORSE, policy_of
from harness.verdicts.gates.reading import Yard, read_policy

DRAWS, SLOW_DRAWS, SEED = 3000, 600, 20261127
_CUT: dict[int, tuple[TokenTable, list[list[tuple[Tokens, np.ndarray]]]]] = {}  # the table is kept, so its id is
WORSE = 1.2
NOWHERE = Conditions(
    suite="core", suite_version=1, suite_digest="", profile="full", reference="", reference_digest="", vocabulary="",
    estimator="exact", arithmetic="",
)  # fmt: skip


def collect(
    reference: Path, candidates: Sequence[Path | str], results: Path, *, wide: bool, suite: str = "core"
) -> dict[str, TokenTable]:
    """Score candidates on a whole suite; with band and ladder where ``wide``."""
    request = Request(
        reference=str(reference), candidates=tuple(Candidate(str(path), "bf16") for path in candidates), suite=suite,
        runtime=Runtime(threads=1, dtype="fp32"), rebuild=wide, band=wide, ladder=(8, 6, 5, 4, 3) if wide else (),
    )  # fmt: skip
    places = Places(results, Places.default().cache)
    steps = compare(request, places, Stop())
    while True:
        try:
            next(steps)
        except StopIteration as end:
            run = end.value.run
            break
    journal = Journal.open(results, run)
    found = {target.label: table_of(journal, journal.plan, target) for target in journal.plan.targets}
    journal.close()
    return {label: table for label, table in found.items() if table is not None}


def find_worse(reference: Path, folder: Path, results: Path, base: DocumentSums) -> tuple[float, float, TokenTable]:
    """The share of fp4 at which the mean KL is 1.2 times that of nf4, the ratio there, and the rows of that copy."""
    known: dict[float, float] = {}
    share = 0.8038  # about where it was found
    for _ in range(5):
        table = next(iter(collect(reference, [blend(reference, folder, share)], results, wide=False).values()))
        known[share] = ratio(METRICS["kl_ref_cand"], DocumentSums.of(table), base).value
        print(f"share {share:.4f}: {known[share]:.4f} times", flush=True)
        if abs(known[share] / WORSE - 1) < 0.005:
            return share, known[share], table
        nearest = sorted(known, key=lambda s: abs(known[s] - WORSE))[:2]
        slope = 3.0 if len(nearest) < 2 else np.log(known[nearest[1]] / known[nearest[0]]) / (nearest[1] - nearest[0])
        share = round(float(nearest[0] + np.log(WORSE / known[nearest[0]]) / slope), 4)
    raise RuntimeError(f"no share of fp4 gives {WORSE} times: {known}")


def resampled(table: TokenTable, picks: np.ndarray) -> TokenTable:
    """Documents with replacement, each draw a document of its own; ids are left out, keys tell documents apart."""
    units = documents_of(table)
    parts = []
    for place, pick in enumerate(picks):
        for sequence, rows in units[pick]:
            parts.append((replace(sequence, key=f"{place}:{sequence.key}", cluster=str(place), ids=()), rows))
    return TokenTable.build(parts)


def documents_of(table: TokenTable) -> list[list[tuple[Tokens, np.ndarray]]]:
    """The sequences and rows of every document, cut once per table."""
    if id(table) not in _CUT:
        found: dict[str, list[tuple[Tokens, np.ndarray]]] = {}
        for index, sequence in enumerate(table.sequences):
            found.setdefault(sequence.cluster, []).append((sequence, table.rows[table.owner == index]))
        _CUT[id(table)] = (table, list(found.values()))
    return _CUT[id(table)][1]


def baseline_of(table: TokenTable) -> Baseline:
    metrics, documents = document_entries(DocumentSums.of(table), digests_of(list(table.sequences)))
    return Baseline(
        baseline_version=BASELINE_VERSION, fidelity_version="", label="nf4", claim="", candidate_digest="", run="",
        created="", conditions=NOWHERE, software={}, summary={}, metrics=metrics, documents=documents,
    )  # fmt: skip


def edges(worse: TokenTable, base: TokenTable, band: TokenTable, rungs: dict[float, TokenTable]) -> dict[str, str]:
    """Gates whose bound is the population's own value."""
    ours, theirs = DocumentSums.of(worse), DocumentSums.of(base)
    found = {}
    for key in ("kl_ref_cand", "ear", "top1_agreement", "confident_flips", "ppl_ratio", "dp_rms"):
        value = METRICS[key].estimate(worse).value
        found[key] = f"{key}{'>=' if METRICS[key].better == 'higher' else '<='}{value:.12g}"
    found["kl_p99"] = f"kl_p99<={QUANTILES['kl_p99'].estimate(worse).value:.12g}"
    times = ratio(METRICS["kl_ref_cand"], ours, theirs).value
    found["kl over baseline"] = f"kl_ref_cand<={times:.12g}x baseline"
    for key in ("ear", "top1_agreement"):
        gap = difference(METRICS[key], ours, theirs).value
        found[f"{key} to baseline"] = f"{key}>=baseline{gap:+.12g}"
    keys = {sequence.key for sequence in band.sequences}
    part = DocumentSums.of(worse.restrict(keys))
    over = ratio(METRICS["kl_ref_cand"], part, DocumentSums.of(band)).value
    found["kl over band"] = f"kl_ref_cand<={over:.12g}x band"
    ladder = {bits: DocumentSums.of(rung.restrict(keys)) for bits, rung in rungs.items()}
    low, high = 3.0, 8.0
    for _ in range(60):  # bisection: the bits at which the ladder's KL is the candidate's
        middle = (low + high) / 2
        low, high = (low, middle) if over_ladder(part, ladder, middle).value > 1 else (middle, high)
    found["bits"] = f"bits>={low:.10f}"
    return found


def drawn(policies: dict[str, list[str]], documents: int, rng: np.random.Generator, worse: TokenTable, base: TokenTable,
          band: TokenTable | None = None, rungs: dict[float, TokenTable] | None = None) -> list[dict[str, object]]:  # fmt: skip
    """How often each policy fails, passes and stays undecided, on the same draws of documents for all."""
    counts = {name: {"failed": 0, "passed": 0, "undecided": 0} for name in policies}
    made = {name: policy_of(gates) for name, gates in policies.items()}
    for draw in range(DRAWS):
        picks = rng.integers(0, len(base.units), documents)
        again = resampled(base, picks)
        stored = baseline_of(again)
        honest = {"band": resampled(band, picks)} if band else {}
        ladder = {bits: resampled(rung, picks) for bits, rung in (rungs or {}).items()}
        yard = Yard(resampled(worse, picks), honest, ladder, stored)
        same = Yard(again, baseline=stored)
        for name, policy in made.items():
            if name != "kl_p99" or draw < SLOW_DRAWS:
                reading = read_policy(policy, same if name == "the same weights" else yard, frozen=True)
                counts[name][reading.status] += 1
    rows: list[dict[str, object]] = []
    for name, count in counts.items():
        draws = sum(count.values())
        row: dict[str, object] = {"what": name, "gates": len(policies[name]), "documents": documents, "draws": draws}
        rows.append(row | {status: round(number / draws, 4) for status, number in count.items()})
        print(rows[-1], flush=True)
    return rows


def calibrated(
    tables: dict[str, TokenTable], base: TokenTable, worse: TokenTable, caught: str = "20 % worse"
) -> list[dict[str, object]]:
    """Gates of every kind at their bounds, and whether the worse copy is caught, on draws of 44 and of 104 documents."""
    rungs = {float(label[:-4]): table for label, table in tables.items() if label.endswith("-bit")}
    keys = {sequence.key for sequence in rungs[8.0].sequences}  # band and ladder are measured on a part of the suite
    band = tables["bf16"].restrict(keys)
    gates = edges(worse, base, band, rungs)
    partly = {name: [gates.pop(name)] for name in ("kl over band", "bits")}
    policies = {name: [gate] for name, gate in gates.items()}
    policies["six at their bounds"] = list(gates.values())[:6]
    policies |= {caught: list(NO_WORSE), "the same weights": list(NO_WORSE)}
    rng = np.random.default_rng(SEED)
    rows = [row for documents in (44, 104) for row in drawn(policies, documents, rng, worse, base)]
    return rows + drawn(partly, 36, rng, worse.restrict(keys), base.restrict(keys), band, rungs)


def main() -> None:
    cache = Places.default().cache
    for _ in build_demo_reference(cache, None):
        pass
    reference = demo_reference(cache)
    with tempfile.TemporaryDirectory() as scratch:
        folder, results = Path(scratch) / "models", Path(scratch) / "results"
        folder.mkdir()
        start = blend(reference, folder, 0.0)
        tables = collect(reference, [start], results, wide=True)
        base = tables[start.name]
        share, times, worse = find_worse(reference, folder, results, DocumentSums.of(base))
    rows = calibrated(tables, base, worse)
    facts = {"alpha": 0.025, "share_of_fp4": share, "times_the_baseline": round(times, 4), "seed": SEED}
    write("gate_calibration", rows, facts)


if __name__ == "__main__":
    main()
