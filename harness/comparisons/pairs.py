"""Candidates of one run held against each other, paired by document: which is closer to the reference, and is that sure?"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

from harness.comparisons.distributions.documents import DocumentSums, difference, ratio
from harness.comparisons.distributions.metrics import METRICS
from harness.comparisons.model import Result
from harness.comparisons.table import TokenTable
from harness.evidence.clustered import Sums
from harness.evidence.contrasts import cautious_p
from harness.evidence.multiplicity import holm

#: The probability that any of a run's order statements is wrong.
ALPHA = 0.05
_FEWEST = 2  # documents without which there is no spread


class PairReading(Result):
    """Two candidates on the same tokens. ``ratio`` is the first one's mean KL over the second one's.

    ``ear`` is the first one's expected acceptance rate minus the second one's. Both intervals are 95 %, of this pair
    alone; ``holm`` is the p-value of the order, by the wider interval of accusations and adjusted for all pairs of the run, and
    ``closer`` names the closer one where it is at most 0.05, else it is empty.
    """

    first: str
    second: str
    ratio: float
    low: float
    high: float
    ear: float
    ear_low: float
    ear_high: float
    holm: float
    closer: str
    documents: int
    note: str


class Place(Result):
    """A candidate's place by mean KL: it is one of ``best`` to ``worst``, whatever the intervals leave open."""

    label: str
    value: float
    best: int
    worst: int


class Ranking(Result):
    """All pairs of a run, and the places that they allow; the order of the places is by the point estimates."""

    pairs: tuple[PairReading, ...]
    places: tuple[Place, ...]


class Order(Result):
    """Two candidates, the p-value of "they are equally far" (Holm over all pairs), and the closer one where that is sure."""

    first: str
    second: str
    holm: float
    closer: str


def orders(sums: Mapping[str, Sums]) -> list[Order]:
    """Who is closer of every two candidates, by their sums of KL over the same documents.

    Null of a pair: both have the same mean KL over documents like these. Log ratio, documents as units, by the wider interval of
    decisions 0008 and 0009, Holm over all pairs: the probability that any named order is wrong is at most 5 % for one suite
    (``bench/ranking_orders.py``). Not for fewer than about ten documents.
    """
    pairs = list(itertools.combinations(sums, 2))
    adjusted = holm([1.0 if math.isnan(p := _equal(sums[a], sums[b])) else p for a, b in pairs])
    return [
        Order(first=a, second=b, holm=float(p), closer=_closer(a, b, sums) if p <= ALPHA else "")
        for (a, b), p in zip(pairs, adjusted, strict=True)
    ]


def _equal(first: Sums, second: Sums) -> float:
    """The p-value of "equally far"; one that is exactly the reference is closer than anything that moved."""
    if min(first.mean, second.mean) > 0:
        return cautious_p((1.0, -1.0), (first, second))
    both = int(((first.count > 0) & (second.count > 0)).sum())
    return math.nan if both < _FEWEST else float(first.mean == second.mean)


def _closer(a: str, b: str, sums: Mapping[str, Sums]) -> str:
    first, second = sums[a].mean, sums[b].mean
    return "" if first == second else a if first < second else b


def rank(tables: dict[str, TokenTable]) -> Ranking | None:
    """Hold every two candidates against each other; None for fewer than two.

    A candidate's best place is 1 plus how many are surely closer (see ``orders``), its worst the number of candidates minus how
    many are surely further.
    """
    if len(tables) < 2:
        return None
    keys = set.intersection(*({s.key for s in table.sequences} for table in tables.values()))
    if not keys:
        return None
    sums = {label: DocumentSums.of(table.restrict(keys)) for label, table in tables.items()}
    pairs = [_pair(order, sums) for order in orders({label: one.kl for label, one in sums.items()})]
    means = {label: one.kl.mean for label, one in sums.items()}
    return Ranking(pairs=tuple(pairs), places=tuple(_places(means, pairs)))


def _pair(order: Order, sums: Mapping[str, DocumentSums]) -> PairReading:
    first, second = sums[order.first], sums[order.second]
    times = ratio(METRICS["kl_ref_cand"], first, second)
    gap = difference(METRICS["ear"], first, second)
    return PairReading(
        first=order.first, second=order.second, ratio=times.value, low=times.low, high=times.high, ear=gap.value,
        ear_low=gap.low, ear_high=gap.high, holm=order.holm, closer=order.closer, documents=times.clusters, note=times.note,
    )  # fmt: skip


def _places(means: dict[str, float], pairs: list[PairReading]) -> list[Place]:
    places = []
    for label in sorted(means, key=lambda name: means[name]):
        own = [pair for pair in pairs if label in {pair.first, pair.second} and pair.closer]
        closer = sum(pair.closer != label for pair in own)
        further = sum(pair.closer == label for pair in own)
        places.append(Place(label=label, value=means[label], best=1 + closer, worst=len(means) - further))
    return places
