"""The same items answered right or wrong by both sides: McNemar's test, exact and mid-p."""

from __future__ import annotations

from dataclasses import dataclass


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


def mcnemar(lost: int, won: int) -> Flips:
    """P = P(a split of ``lost + won`` fair coins at least as uneven), with half of the observed split for mid-p."""
    from scipy.stats import binom  # noqa: PLC0415 - scipy.stats is slow to import

    total, fewer = lost + won, min(lost, won)
    if not total:
        return Flips(0, 0, 1.0, 1.0)
    doubled = 2.0 * float(binom.cdf(fewer, total, 0.5))
    return Flips(lost, won, min(doubled, 1.0), min(doubled - float(binom.pmf(fewer, total, 0.5)), 1.0))
