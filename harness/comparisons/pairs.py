"""Candidates of one run held against each other, paired by document: which is closer to the reference, and is that sure?"""

from __future__ import annotations

import itertools
import math

from harness.comparisons.distributions.documents import DocumentSums, difference, ratio
from harness.comparisons.distributions.metrics import METRICS
from harness.comparisons.model import Result
from harness.comparisons.table import TokenTable
from harness.evidence.contrasts import log_contrast, two_sided_p
from harness.evidence.multiplicity import holm

#: The probability that any of a run's order statements is wrong.
ALPHA = 0.05


class PairReading(Result):
    """Two candidates on the same tokens. ``ratio`` is the first one's mean KL over the second one's.

    ``ear`` is the first one's expected acceptance rate minus the second one's. Both intervals are 95 %, of this pair
    alone; ``holm`` is the p-value adjusted for all pairs of the run, and ``closer`` names the closer one where it is at
    most 0.05, else it is empty.
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


def rank(tables: dict[str, TokenTable]) -> Ranking | None:
    """Hold every two candidates against each other; None for fewer than two.

    Null of a pair: both have the same mean KL over documents like these. Paired t test on the log ratio (delta method,
    documents as units), Holm over all pairs: the probability that any named order is wrong is at most 5 % for one suite.
    A candidate's best place is 1 plus how many are surely closer, its worst the number of candidates minus how many are
    surely further. Not for fewer than about ten documents.
    """
    if len(tables) < 2:
        return None
    keys = set.intersection(*({s.key for s in table.sequences} for table in tables.values()))
    if not keys:
        return None
    sums = {label: DocumentSums.of(table.restrict(keys)) for label, table in tables.items()}
    found = [_pair(a, b, sums[a], sums[b]) for a, b in itertools.combinations(sums, 2)]
    adjusted = holm([1.0 if math.isnan(p) else p for _, p in found])
    pairs = []
    for (pair, _), p in zip(found, adjusted, strict=True):
        sure = p <= ALPHA and pair.ratio != 1.0
        closer = (pair.first if pair.ratio < 1 else pair.second) if sure else ""
        pairs.append(pair.model_copy(update={"holm": float(p), "closer": closer}))
    means = {label: one.kl.mean for label, one in sums.items()}
    return Ranking(pairs=tuple(pairs), places=tuple(_places(means, pairs)))


def _pair(a: str, b: str, first: DocumentSums, second: DocumentSums) -> tuple[PairReading, float]:
    kl, ear = METRICS["kl_ref_cand"], METRICS["ear"]
    times, gap = ratio(kl, first, second), difference(ear, first, second)
    zero = min(first.kl.mean, second.kl.mean) <= 0
    if zero:  # one is exactly the reference: the other is further, or it is the reference, too
        p = math.nan if times.clusters < 2 else float(times.value == 1)
    else:
        p = two_sided_p(log_contrast((1.0, -1.0), (first.kl, second.kl)))
    reading = PairReading(
        first=a, second=b, ratio=times.value, low=times.low, high=times.high, ear=gap.value, ear_low=gap.low,
        ear_high=gap.high, holm=1.0, closer="", documents=times.clusters, note=times.note,
    )  # fmt: skip
    return reading, p


def _places(means: dict[str, float], pairs: list[PairReading]) -> list[Place]:
    places = []
    for label in sorted(means, key=lambda name: means[name]):
        own = [pair for pair in pairs if label in {pair.first, pair.second} and pair.closer]
        closer = sum(pair.closer != label for pair in own)
        further = sum(pair.closer == label for pair in own)
        places.append(Place(label=label, value=means[label], best=1 + closer, worst=len(means) - further))
    return places
