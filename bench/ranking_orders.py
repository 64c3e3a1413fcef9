"""Orders of candidates that are equally far: how often any of them is named wrongly, and how often real orders are found.

    make bench-ranking

Population: two sets of 104 documents, those of the core suite and "modules" of ``gate_held_out.py`` (Python's single
modules), with the KL sums per document of five copies of the demo model. Every draw takes documents with replacement, the
same for all copies.

- *equal*: every copy's sums are scaled so that all population means are the same, which leaves what differs between documents as
  it is; any named order is wrong. Null: equal means. Unit: the document. Error rate: 5 % for any order of a run, whatever the
  number of candidates. Every pair of copies for two candidates, all copies for five.
- *as they are*: the copies unscaled; how many of the ten orders are named, and named wrongly.

"plain" is the rule that this one replaced: Student's t on the log ratio, Holm over pairs.
"""

from __future__ import annotations

import itertools
import math
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from _table import write
from gate_calibration import collect
from gate_held_out import SETS, standard_library

from harness.comparisons.distributions.documents import DocumentSums
from harness.comparisons.pairs import ALPHA, orders
from harness.config import Places
from harness.evidence.clustered import Sums
from harness.evidence.contrasts import log_contrast, two_sided_p
from harness.evidence.multiplicity import holm
from harness.targets.demo_model import build_demo_reference, demo_reference

COPIES = ("bnb:nf4", "bnb:fp4", "ggufq:Q4_0", "ggufq:Q5_0", "rtn:4g128")
DOCUMENTS, DRAWS, SEED = (12, 24, 36, 104), 4000, 20261130
Population = dict[str, Sums]


def population(name: str, suite: str, reference: Path, cache: Path) -> Population:
    """KL sums per document of every copy, kept in the cache from one try to the next."""
    kept = cache / "ranking" / f"{name}.npz"
    if not kept.exists():
        with tempfile.TemporaryDirectory() as scratch:
            tables = collect(
                reference, [f"{one}:{reference}" for one in COPIES], Path(scratch), wide=False, suite=suite
            )
        sums = {label: DocumentSums.of(table).kl for label, table in tables.items()}
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.savez(
            kept,
            **{f"{label}|{part}": getattr(one, part) for label, one in sums.items() for part in ("total", "count")},
        )
    with np.load(kept) as stored:
        labels = dict.fromkeys(key.rpartition("|")[0] for key in stored)
        return {label: Sums(stored[f"{label}|total"], stored[f"{label}|count"]) for label in labels}


def scaled(found: Population) -> Population:
    """The same with all means the same."""
    return {label: Sums(one.total / one.mean, one.count) for label, one in found.items()}


def plain(found: Mapping[str, Sums]) -> dict[tuple[str, str], str]:
    """The closer one of every pair by the old rule."""
    pairs = list(itertools.combinations(found, 2))
    tests = [log_contrast((1.0, -1.0), (found[a], found[b])) for a, b in pairs]
    adjusted = holm([1.0 if math.isnan(p := two_sided_p(one)) else p for one in tests])
    return {(a, b): (a if one.value < 0 else b) if p <= ALPHA else ""
            for (a, b), one, p in zip(pairs, tests, adjusted, strict=True)}  # fmt: skip


def named(found: Mapping[str, Sums]) -> dict[tuple[str, str], str]:
    """The closer one of every pair by the product's rule."""
    return {(one.first, one.second): one.closer for one in orders(found)}


def simulated(
    kind: str, name: str, found: Population, documents: int, rng: np.random.Generator
) -> list[dict[str, object]]:
    """Draws of documents: how many name any wrong order, and how many orders are named rightly."""
    size = len(next(iter(found.values())).total)
    means = {label: one.mean for label, one in found.items()}
    wrong, right = dict.fromkeys(("plain", "product"), 0), dict.fromkeys(("plain", "product"), 0)
    for _ in range(DRAWS):
        picks = rng.integers(0, size, documents)
        drawn = {label: Sums(one.total[picks], one.count[picks]) for label, one in found.items()}
        for rule, by in (("plain", plain), ("product", named)):
            told = by(drawn)
            bad = [
                pair
                for pair, one in told.items()
                if one and (kind == "equal" or one != min(pair, key=means.__getitem__))
            ]
            wrong[rule] += bool(bad)
            right[rule] += sum(bool(one) for one in told.values()) - len(bad)
    return [
        {"set": name, "what": kind, "rule": rule, "candidates": len(found), "documents": documents, "draws": DRAWS,
         "any_wrong": round(wrong[rule] / DRAWS, 4), "orders_found": round(right[rule] / DRAWS, 3)}
        for rule in wrong
    ]  # fmt: skip


def main() -> None:
    cache = Places.default().cache
    for _ in build_demo_reference(cache, None):
        pass
    reference, rows = demo_reference(cache), []
    rng = np.random.default_rng(SEED)
    facts: dict[str, object] = {"alpha": ALPHA, "seed": SEED}
    with tempfile.TemporaryDirectory() as scratch:
        suites = {"core": "core", "modules": str(standard_library(Path(scratch) / "suite", SETS["modules"][0]))}
        for name, suite in suites.items():
            found = population(name, suite, reference, cache)
            facts[f"means of {name}"] = {label: round(one.mean, 4) for label, one in found.items()}
            equal = scaled(found)
            for documents in DOCUMENTS:
                rows += simulated("equal", name, equal, documents, rng)
                rows += simulated("as they are", name, found, documents, rng)
                pairs = [simulated("equal", name, {one: equal[one] for one in pair}, documents, rng)
                         for pair in itertools.combinations(equal, 2)]  # fmt: skip
                for number in range(2):
                    worst = max((pair[number] for pair in pairs), key=lambda row: row["any_wrong"])
                    rows.append(worst | {"what": "equal, the worst pair of ten"})
            print(name, flush=True)
    write("ranking_orders", rows, facts)


if __name__ == "__main__":
    main()
