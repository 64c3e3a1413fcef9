"""Two targets on the same documents: ratios and differences of means, paired by document.

What a document's difficulty does to both sides cancels, so these are far sharper than two intervals held side by side.
All sums must be aligned: entry g of each belongs to the same document, with a count of 0 where a side has nothing there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from harness.evidence.clustered import LEVEL, Estimate, Floats, Sums, cluster_note, ends
from harness.evidence.student import upper_tail

_LARGEST_EXPONENT = 700.0  # exp of more is not a float
_THRICE = 3  # decision 0008: accusations at a third of their level


def ratio_of_means(above: Sums, below: Sums, level: float = LEVEL, *, unseen: bool = False) -> Estimate:
    """The ratio of the means of two positive quantities, with a t interval on its logarithm; ``se`` is that of the log ratio.

    Both means zero count as equal (1): neither moved. A zero below a positive mean is an infinite ratio, without
    interval: means of non-negative quantities are positive or not, whoever is drawn. ``unseen``: see
    :func:`harness.evidence.clustered.ends`.
    """
    if _mean(below) == 0 or _mean(above) == 0:
        value = 1.0 if _mean(above) == _mean(below) else math.inf if _mean(above) > 0 else 0.0
        return _fact(value, [above, below])
    log = log_contrast((1.0, -1.0), (above, below), level, unseen=unseen)
    return Estimate(
        math.exp(log.value),
        _exp(log.low),
        _exp(log.high),
        log.se,
        log.tokens,
        log.clusters,
        log.design_effect,
        log.note,
    )


def log_contrast(
    weights: Sequence[float], parts: Sequence[Sums], level: float = LEVEL, *, unseen: bool = False
) -> Estimate:
    """sum_k w_k log(mean_k) over the same documents, with a cluster-robust t interval.

    Delta method: document g has the influence sum_k w_k (x_kg - mean_k n_kg) / (mean_k N_k), and
    SE^2 = G/(G-1) sum of their squares. All means must be positive (NaN otherwise). Where every document shows the same
    ratio the error is zero and so is the width: that is a fact about these documents, and only sensible where the two
    sides are the same thing. Under about ten documents the interval is too narrow; the note says so.
    """
    groups, tokens = _size(parts)
    means = [_mean(part) for part in parts]
    if not groups or min(means) <= 0:
        return Estimate(math.nan, math.nan, math.nan, math.nan, tokens, groups, math.nan, "a mean is zero")
    value = sum(w * math.log(mean) for w, mean in zip(weights, means, strict=True))
    return _interval(value, _influence(weights, parts, means), groups, tokens, level, unseen=unseen)


def mean_of_sums(part: Sums, level: float = LEVEL) -> Estimate:
    """The mean of a positive quantity with a t interval on its logarithm; of zero, zero."""
    if _mean(part) == 0:
        return _fact(0.0, [part])
    log = log_contrast((1.0,), (part,), level)
    return Estimate(
        math.exp(log.value), _exp(log.low), _exp(log.high), log.se, log.tokens, log.clusters, math.nan, log.note
    )


def difference_of_means(above: Sums, below: Sums, level: float = LEVEL) -> Estimate:
    """The difference of two means over the same documents, with a cluster-robust t interval; ``se`` is on their scale."""
    groups, tokens = _size([above, below])
    if not groups:
        return Estimate(math.nan, math.nan, math.nan, math.nan, tokens, groups, math.nan, "no documents")
    influence = (above.total - _mean(above) * above.count) / above.count.sum()
    influence = influence - (below.total - _mean(below) * below.count) / below.count.sum()
    return _interval(_mean(above) - _mean(below), influence, groups, tokens, level)


def two_sided_p(estimate: Estimate) -> float:
    """Two-sided p-value of a contrast against zero, by Student's t with one degree of freedom fewer than documents.

    For ratios give the logarithm's estimate. Exactly zero with no error is 1; anything else with no error is 0.
    """
    if math.isnan(estimate.value) or estimate.clusters < 2:
        return math.nan
    if estimate.se == 0:
        return 1.0 if estimate.value == 0 else 0.0
    return 2 * upper_tail(abs(estimate.value) / estimate.se, estimate.clusters - 1)


def cautious_p(weights: Sequence[float], parts: Sequence[Sums]) -> float:
    """Two-sided p-value of a log contrast against zero by the interval of decisions 0008 and 0009; NaN where there is none.

    Thrice Student's, after one more document that lies as far towards zero as the furthest that was seen on that side. For
    accusations and orders: the plain value errs too often on a few dozen documents.
    """
    groups, _ = _size(parts)
    means = [_mean(part) for part in parts]
    if groups < 2 or min(means) <= 0:
        return math.nan
    value = sum(w * math.log(mean) for w, mean in zip(weights, means, strict=True))
    influence = _influence(weights, parts, means)
    if not np.any(influence):
        return 1.0 if value == 0 else 0.0
    undone = -influence if value > 0 else influence
    furthest = max(float(undone.max()), 0.0)
    spread = math.hypot(math.sqrt(groups / (groups - 1) * float(np.sum(influence**2))), furthest)
    left = abs(value) - furthest * groups / (groups + 1)
    return min(_THRICE * 2 * upper_tail(left / spread, groups - 1), 1.0) if left > 0 else 1.0


def _influence(weights: Sequence[float], parts: Sequence[Sums], means: Sequence[float]) -> Floats:
    """What each document adds to a log contrast, to first order."""
    found: Floats = np.zeros(len(parts[0].total))
    for weight, part, mean in zip(weights, parts, means, strict=True):
        found += weight * (part.total - mean * part.count) / (mean * part.count.sum())
    return found


def _interval(
    value: float, influence: Floats, groups: int, tokens: int, level: float, *, unseen: bool = False
) -> Estimate:
    se, down, up = ends(influence, groups, level, unseen=unseen)
    return Estimate(value, value - down, value + up, se, tokens, groups, math.nan, cluster_note(groups))


def _fact(value: float, parts: Sequence[Sums]) -> Estimate:
    groups, tokens = _size(parts)
    if groups < 2:
        return Estimate(value, 0.0, math.inf, math.inf, tokens, groups, math.nan, cluster_note(groups))
    return Estimate(value, value, value, 0.0, tokens, groups, math.nan, cluster_note(groups))


def _size(parts: Sequence[Sums]) -> tuple[int, int]:
    """Documents in which every side has tokens, and tokens of the first side."""
    present = np.all([part.count > 0 for part in parts], axis=0)
    return int(present.sum()), int(parts[0].count.sum())


def _mean(part: Sums) -> float:
    tokens = float(part.count.sum())
    return float(part.total.sum()) / tokens if tokens else math.nan


def _exp(value: float) -> float:
    return math.exp(value) if value < _LARGEST_EXPONENT else math.inf
