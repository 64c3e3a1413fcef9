"""The same items answered by both sides: who lost, by how much, and what would have been found.

Null: as many items go from right to wrong as the other way. Unit: the item, or the group of items that share a document; groups
are independent. A loss is judged one-sided, because a candidate that answers better does no harm.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from harness.evidence.clustered import LEVEL, Floats, Ints, cluster_sums, ends, t_quantile

_FEW = (
    10  # groups of several items with a flip, under which their spread is not known and they count as moving together
)
_DRAWS = 2000
_REACH = 8.0  # standard deviations of the number of flips that are summed over
_HALVINGS = 18  # of an interval of losses: to four millionths


@dataclass(frozen=True, slots=True)
class Flips:
    """Items that only one side got right, and the two-sided p-values of "as many one way as the other".

    ``exact`` never errs more often than stated; ``mid`` is less cautious where flips are few, and errs a little more often
    than stated at some counts (Fagerland, Lydersen and Laake 2013). Items are the unit: items that share a document are
    not independent, and neither value knows.
    """

    lost: int
    won: int
    exact: float
    mid: float


@dataclass(frozen=True, slots=True)
class Loss:
    """How much worse a candidate does, as a share of the items, with a two-sided interval of ``LEVEL``.

    ``worse`` is the one-sided p-value of "no worse"; ``effective`` the number of independent items that the interval rests on.
    """

    value: float
    low: float
    high: float
    worse: float
    lost: int
    won: int
    items: int
    groups: int
    effective: float


def mcnemar(lost: int, won: int) -> Flips:
    """P = P(a split of ``lost + won`` fair coins at least as uneven), with half of the observed split for mid-p."""
    from scipy.stats import binom  # noqa: PLC0415 - scipy.stats is slow to import

    total, fewer = lost + won, min(lost, won)
    if not total:
        return Flips(0, 0, 1.0, 1.0)
    doubled = 2.0 * float(binom.cdf(fewer, total, 0.5))
    return Flips(lost, won, min(doubled, 1.0), min(doubled - float(binom.pmf(fewer, total, 0.5)), 1.0))


def paired_loss(reference: Floats, candidate: Floats, groups: Ints) -> Loss:
    """Loss between right-or-wrong answers (1 or 0) to the same items, ``[items]`` each; ``groups`` are labels 0, 1, ...

    The p-value is that of exact sign flips of whole groups. The interval is Tango's, with as many items as carry independent
    information: counts are divided by their design effect. Where items share groups it is at least as wide as what the groups
    themselves say: Student's t in place of the normal quantile, and one more group as far out as the furthest on each side
    (decision 0010), because a few groups that were not drawn may hold much of a loss.
    """
    difference = reference - candidate
    lost, won, items = int((difference > 0).sum()), int((difference < 0).sum()), len(difference)
    nets = cluster_sums(difference, groups).total
    if not items:
        nan = math.nan
        return Loss(nan, nan, nan, 1.0, 0, 0, 0, 0, 0.0)
    shrink = _design_effect(difference, groups)
    low, high = tango(lost / shrink, won / shrink, items / shrink, _t_level(len(nets)) if len(nets) < items else LEVEL)
    if 2 <= len(nets) < items:
        mean, sizes = float(difference.mean()), cluster_sums(np.ones(items), groups).total
        _, down, up = ends((nets - mean * sizes) / items, len(nets), LEVEL, unseen=True)
        low, high = max(min(low, mean - down), -1.0), min(max(high, mean + up), 1.0)
    return Loss(
        float(difference.mean()), low, high, sign_flips(nets), lost, won, items, len(nets), items / shrink
    )  # fmt: skip


def _t_level(groups: int) -> float:
    """The level at which a normal interval is as wide as Student's at ``LEVEL`` with one degree of freedom fewer than groups."""
    return 1.0 - math.erfc(t_quantile(groups) / math.sqrt(2)) if groups > 1 else LEVEL


def sign_flips(nets: Floats) -> float:
    """One-sided exact p-value of the sum of ``nets``, whole numbers per group, whose signs are equally likely both ways.

    The distribution over all sign patterns, by convolution; with one item per group this is McNemar's exact test.
    """
    sizes = np.abs(nets).round().astype(int)
    total, observed = int(sizes.sum()), round(float(nets.sum()))
    chances = np.zeros(2 * total + 1)
    chances[total] = 1.0
    for size in sizes[sizes > 0]:
        chances = 0.5 * (np.roll(chances, size) + np.roll(chances, -size))
    return float(min(chances[total + observed :].sum(), 1.0))


def tango(lost: float, won: float, items: float, level: float = LEVEL) -> tuple[float, float]:
    """Interval of the difference of two paired shares from the counts of flips (Tango 1998); counts may be fractions.

    A difference d is in it if the score of "the difference is d" is within the normal quantile. Keeps its level from a few items
    on, and has a length where there are no flips at all.
    """
    from scipy.optimize import brentq  # noqa: PLC0415 - scipy is slow to import and --help must not
    from scipy.special import ndtri  # noqa: PLC0415

    z, observed = float(ndtri(0.5 + level / 2)), (lost - won) / items
    if not items > 0:
        return math.nan, math.nan

    def score(d: float) -> float:
        b = -lost - won + (2 * items - lost + won) * d
        rare = (math.sqrt(max(b * b - 8 * items * (-won * d * (1 - d)), 0.0)) - b) / (4 * items)
        spread = items * (2 * rare + d * (1 - d))
        return (lost - won - items * d) / math.sqrt(max(spread, 1e-12))

    edge = 1 - 1e-6
    low = -1.0 if observed <= -edge or score(-edge) <= z else float(brentq(lambda d: score(d) - z, -edge, observed))
    high = 1.0 if observed >= edge or score(edge) >= -z else float(brentq(lambda d: score(d) + z, observed, edge))
    return low, high


def _design_effect(difference: Floats, groups: Ints) -> float:
    """Times by which the variance of the mean exceeds that of independent items; at least 1.

    Measured where at least ``_FEW`` groups of several items have a flip; else groups are taken to move as a whole, which costs
    sum n^2 / sum n for groups of n items.
    """
    sums = cluster_sums(difference, groups)
    items, count = len(difference), len(sums.total)
    if count == items:
        return 1.0
    flipped = cluster_sums(np.abs(difference), groups).total > 0
    whole = float((sums.count**2).sum() / sums.count.sum())
    mean = difference.mean()
    spread = float(((difference - mean) ** 2).sum())
    if spread == 0 or count < 2 or int((flipped & (sums.count > 1)).sum()) < _FEW:
        return whole
    between = float(((sums.total - mean * sums.count) ** 2).sum()) * count / (count - 1)
    return max(between / spread, 1.0)


def bootstrap_difference(
    difference: Floats, groups: Ints, seed: int, level: float = LEVEL
) -> tuple[float, float, float]:
    """Mean of paired differences of any scores, and its studentised bootstrap interval over whole groups.

    For scores that are not right or wrong. Infinite with fewer than two groups; rough under about 20.
    """
    sums = cluster_sums(difference, groups)
    mean, count = float(difference.mean()) if len(difference) else math.nan, len(sums.total)
    if count < 2:
        return mean, -math.inf, math.inf
    residual = sums.total - mean * sums.count
    error = math.sqrt(count / (count - 1) * float((residual**2).sum())) / float(sums.count.sum())
    if error == 0:
        reach = t_quantile(count, level) * (
            1.0 / float(sums.count.sum())
        )  # nothing moved: at most about one item's worth
        return mean, mean - reach, mean + reach
    picks = np.random.default_rng(seed).integers(0, count, (_DRAWS, count))
    totals, sizes = sums.total[picks], sums.count[picks]
    means = totals.sum(1) / sizes.sum(1)
    spread = np.sqrt(count / (count - 1) * ((totals - means[:, None] * sizes) ** 2).sum(1)) / sizes.sum(1)
    pivots = (means - mean) / np.where(spread > 0, spread, math.inf)
    low, high = np.quantile(pivots, [0.5 - level / 2, 0.5 + level / 2])
    return mean, mean - float(high) * error, mean - float(low) * error


def chance_to_find(items: float, lost: float, won: float, alpha: float) -> float:
    """Power of the one-sided exact test on ``items`` independent items, shares ``lost`` and ``won`` of which flip.

    Sums over how many flip and how many of them are losses; nothing is approximated but a fraction of an item.
    """
    from scipy.stats import binom  # noqa: PLC0415 - scipy.stats is slow to import

    count = round(items)
    churn = min(lost + won, 1.0)
    if count < 1 or churn <= 0:
        return 0.0
    reach = _REACH * math.sqrt(count * churn * (1 - churn)) + _REACH
    flips = np.arange(max(int(count * churn - reach), 0), min(int(count * churn + reach), count) + 1)
    weights = binom.pmf(flips, count, churn)
    return float((weights * binom.sf(_needed(count, alpha)[flips] - 1, flips, lost / (lost + won))).sum())


@functools.lru_cache(maxsize=64)
def _needed(count: int, alpha: float) -> Floats:
    """For every number of flips up to ``count``, the least losses among them at which P(as many or more) <= alpha."""
    from scipy.stats import binom  # noqa: PLC0415 - scipy.stats is slow to import

    found: Floats = binom.isf(alpha, np.arange(count + 1), 0.5) + 1
    return found


def smallest_loss(items: float, churn: float, alpha: float, power: float = 0.8) -> float:
    """The smallest loss, as a share of the items, that would have been found with ``power``: the MDE.

    ``churn`` is the share of items that flip in either direction for other reasons; half of it goes each way beside the loss.
    Infinite where not even a loss of everything would be found.
    """
    if chance_to_find(items, 1.0, 0.0, alpha) < power:
        return math.inf
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        side = min(churn, 1.0 - middle) / 2
        found = chance_to_find(items, middle + side, side, alpha) >= power
        low, high = (low, middle) if found else (middle, high)
    return high


def items_needed(loss: float, churn: float, alpha: float, power: float = 0.8, most: int = 1 << 20) -> int:
    """About how many items would find such a loss; ``most`` where more would be needed."""
    low, high = 1, 1
    side = churn / 2

    def enough(count: int) -> bool:
        return chance_to_find(count, min(loss + side, 1.0 - side), side, alpha) >= power

    while not enough(high):
        low, high = high, high * 2
        if high > most:
            return most
    while high - low > max(low // 100, 1):
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
