"""Sums per document of every metric: what a paired comparison needs of a table, and what a baseline keeps of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from harness.comparisons.distributions.metrics import METRICS, Metric
from harness.comparisons.table import TokenTable
from harness.evidence.clustered import LEVEL, Estimate, Floats, Sums
from harness.evidence.contrasts import difference_of_means, log_contrast, ratio_of_means

#: Metrics of the same token values share one sum (``ear`` and ``tv``); the rest are stored under their own key.
_SAME = {"ear": "tv", "ppl_ratio": "delta_nll"}


#: The sums that are kept.
SUMMED = tuple(key for key in METRICS if key not in _SAME)


@dataclass(frozen=True, slots=True)
class DocumentSums:
    """Per document (``units``, in order) the sum of a metric's values and how many tokens had one."""

    units: tuple[str, ...]
    totals: dict[str, Floats]
    counts: dict[str, Floats]

    @classmethod
    def of(cls, table: TokenTable) -> DocumentSums:
        """Sum every metric of a table within its documents."""
        totals, counts = {}, {}
        for key in SUMMED:
            values = METRICS[key].values(table)
            kept = np.isfinite(values)
            size = len(table.units)
            totals[key] = np.bincount(table.cluster[kept], values[kept], size).astype(np.float64)
            counts[key] = np.bincount(table.cluster[kept], minlength=size).astype(np.float64)
        return cls(table.units, totals, counts)

    def on(self, units: Iterable[str]) -> DocumentSums:
        """The same sums of some documents, in the order given."""
        at = {unit: index for index, unit in enumerate(self.units)}
        picks = [at[unit] for unit in units]
        return DocumentSums(
            tuple(self.units[i] for i in picks),
            {key: total[picks] for key, total in self.totals.items()},
            {key: count[picks] for key, count in self.counts.items()},
        )

    def sums(self, metric: Metric) -> Sums:
        """The sums of one metric."""
        key = _SAME.get(metric.key, metric.key)
        return Sums(self.totals[key], self.counts[key])

    @property
    def kl(self) -> Sums:
        """The sums of the divergence."""
        return self.sums(METRICS["kl_ref_cand"])


def ratio(
    metric: Metric, ours: DocumentSums, theirs: DocumentSums, level: float = LEVEL, *, unseen: bool = False
) -> Estimate:
    """Our number over theirs, paired by document; only for numbers that live on a logarithm (see ``has_ratio``).

    ``unseen``: see :func:`harness.evidence.clustered.ends`; it changes nothing for perplexities, whose documents are not skewed.
    """
    if metric.scale == "exp":
        log = difference_of_means(ours.sums(metric), theirs.sums(metric), level)
        return _mapped(log, np.exp)
    found = ratio_of_means(ours.sums(metric), theirs.sums(metric), level, unseen=unseen)
    return replace(_mapped(found, np.sqrt), se=found.se / 2) if metric.scale == "root" else found


def difference(metric: Metric, ours: DocumentSums, theirs: DocumentSums, level: float = LEVEL) -> Estimate:
    """Our number minus theirs, paired by document; only for numbers that are means (see ``has_difference``)."""
    found = difference_of_means(ours.sums(metric), theirs.sums(metric), level)
    return _mapped(found, np.negative) if metric.scale == "complement" else found


def has_ratio(metric: Metric) -> bool:
    """Whether a ratio of two such numbers means anything: divergences and perplexities, not shares near one."""
    return metric.scale in {"log", "root", "exp"}


def has_difference(metric: Metric) -> bool:
    """Whether a difference of two such numbers can be estimated from sums."""
    return metric.scale in {"plain", "log", "complement"}


def over_ladder(ours: DocumentSums, rungs: dict[float, DocumentSums], bits: float, level: float = LEVEL) -> Estimate:
    """The candidate's KL over that of round to nearest at ``bits``, as a ratio, paired by document.

    Between two rungs the ladder's KL is interpolated on the logarithm, as the reading in bits is; at a rung it is that
    rung. ``bits`` must lie on the ladder.
    """
    weights, parts = _rungs_at(rungs, bits)
    if ours.kl.total.sum() == 0:
        return ratio_of_means(ours.kl, parts[0], level)
    return _mapped(log_contrast((1.0, *(-w for w in weights)), (ours.kl, *parts), level), np.exp)


def ladder_at(rungs: dict[float, DocumentSums], bits: float, level: float = LEVEL) -> Estimate:
    """The mean KL of round to nearest at ``bits``, interpolated as in ``over_ladder``."""
    weights, parts = _rungs_at(rungs, bits)
    return _mapped(log_contrast(weights, parts, level), np.exp)


def _rungs_at(rungs: dict[float, DocumentSums], bits: float) -> tuple[tuple[float, float], tuple[Sums, Sums]]:
    """The rungs around ``bits`` with their weights on the logarithm: the one below first."""
    steps = sorted(rungs)
    above = next(step for step in steps if step >= bits)
    below = max(step for step in steps if step <= bits)
    weight = 0.0 if above == below else (bits - below) / (above - below)
    return (1.0 - weight, weight), (rungs[below].kl, rungs[above].kl)


def _mapped(estimate: Estimate, change: np.ufunc) -> Estimate:
    """An estimate on another scale; a falling change swaps the ends."""
    with np.errstate(over="ignore"):
        value, *ends = (float(change(x)) for x in (estimate.value, estimate.low, estimate.high))
    low, high = min(ends), max(ends)
    return Estimate(
        value, low, high, estimate.se, estimate.tokens, estimate.clusters, estimate.design_effect, estimate.note
    )
