"""Is the difference one number? Re-reading the candidate at another temperature tells scale faults from damage."""

from __future__ import annotations

import numpy as np

from harness.comparisons.model import Result
from harness.comparisons.table import TokenTable
from harness.evidence.clustered import Floats
from harness.evidence.resampling import jackknife
from harness.targets.rows import INVERSE_TEMPERATURES


class ScalarFit(Result):
    """The temperature at which the candidate comes closest to the reference, and how much of the KL that removes.

    ``share`` is 1 - KL(tau)/KL(1), with its 95 % interval; above one half, a scale, softcap or sampler fault explains
    the candidate better than quantization does. ``tau`` below 1 means that the candidate must be sharpened.
    """

    tau: float
    share: float
    low: float
    high: float
    tokens: int


def scalar_fit(table: TokenTable) -> ScalarFit:
    """Fit tau on the tokens that carry the temperature grid.

    Mean KL is convex in the inverse temperature beta; the minimum is read off a parabola through the lowest grid
    point and its neighbours. Not to be trusted when the best beta lies at the end of the grid (0.5 or 2).
    """
    grid = table.rows["kl_grid"].astype(np.float64)
    carried = np.isfinite(grid).all(1)
    units = table.cluster[carried]
    size = len(table.units)
    sums = np.stack([np.bincount(units, weights=grid[carried][:, k], minlength=size) for k in range(grid.shape[1])], 1)
    counts = np.bincount(units, minlength=size).astype(np.float64)
    used = counts > 0
    sums, counts = sums[used], counts[used]
    if not len(counts):
        nan = float("nan")
        return ScalarFit(tau=nan, share=nan, low=nan, high=nan, tokens=0)

    def share(weight: Floats) -> float:
        return _best(weight @ sums / (weight @ counts))[1]

    estimate = jackknife(share, len(counts), int(counts.sum()))
    beta, best = _best(sums.sum(0) / counts.sum())
    return ScalarFit(tau=1.0 / beta, share=best, low=estimate.low, high=estimate.high, tokens=int(counts.sum()))


def _best(curve: Floats) -> tuple[float, float]:
    """Best inverse temperature and the share of KL that it removes."""
    betas = np.array(INVERSE_TEMPERATURES)
    now = float(curve[INVERSE_TEMPERATURES.index(1.0)])
    if now <= 1e-9:
        return 1.0, 0.0
    at = int(np.clip(np.argmin(curve), 1, len(betas) - 2))
    a, b, c = np.polyfit(betas[at - 1 : at + 2], curve[at - 1 : at + 2], 2)
    beta = float(np.clip(-b / (2 * a), betas[0], betas[-1])) if a > 0 else float(betas[int(np.argmin(curve))])
    lowest = max(min(float(np.polyval([a, b, c], beta)), float(curve.min())), 0.0)
    return beta, 1.0 - lowest / now
