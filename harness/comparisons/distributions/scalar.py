"""Is the difference one number? Re-reading the candidate at another scale or softcap tells such faults from damage."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.comparisons.model import Result
from harness.comparisons.table import TokenTable
from harness.evidence.clustered import Floats
from harness.evidence.resampling import jackknife
from harness.targets.rows import INVERSE_TEMPERATURES, SOFTCAPS

Flags = NDArray[np.bool_]


class ScalarFit(Result):
    """The one number that brings the candidate closest to the reference, and how much of the KL it removes.

    ``share`` is 1 - KL(re-read)/KL(as it is), with its 95 % interval; above one half, a scale, softcap or sampler fault
    explains the candidate better than quantization does. ``tau`` below 1 means that the candidate must be sharpened.
    ``softcap`` is 0 where a temperature fits best; positive if that cap must be applied, negative if taken out.
    """

    tau: float
    softcap: float = 0.0
    share: float
    low: float
    high: float
    tokens: int

    @property
    def what(self) -> str:
        """The number in words."""
        if self.softcap > 0:
            return f"applying a softcap of {self.softcap:g}"
        if self.softcap < 0:
            return f"taking out a softcap of {-self.softcap:g}"
        return f"a temperature of {self.tau:.3f}"


def scalar_fit(table: TokenTable) -> ScalarFit:
    """The better of the best temperature and the best softcap.

    Not to be trusted when the best temperature lies at the end of the grid (0.5 or 2). The choice among softcaps is
    made on the same data as its interval; with six of them and a threshold of one half that does not matter.
    """
    temperature = _temperature(table)
    capped = table.rows["kl_softcap"].astype(np.float64)
    plain = table.column("kl_ref_cand")
    carried: Flags = np.isfinite(capped.sum(1)) & np.isfinite(plain)
    if not carried.any() or not plain[carried].mean() > 1e-9:
        return temperature
    best = int(np.argmin(capped[carried].mean(0)))
    sums, counts = _by_unit(table, carried, np.stack([plain, capped[:, best]], 1))

    def share(weight: Floats) -> float:
        now, then = weight @ sums
        return 1.0 - max(float(then), 0.0) / float(now) if now > 0 else 0.0

    estimate = jackknife(share, len(counts), int(counts.sum()))
    if not estimate.value > temperature.share:
        return temperature
    return ScalarFit(
        tau=1.0,
        softcap=SOFTCAPS[best],
        share=estimate.value,
        low=estimate.low,
        high=estimate.high,
        tokens=int(counts.sum()),
    )


def _temperature(table: TokenTable) -> ScalarFit:
    """Fit tau: mean KL is convex in the inverse temperature, and the minimum is read off a parabola on the grid."""
    grid = table.rows["kl_grid"].astype(np.float64)
    carried: Flags = np.isfinite(grid.sum(1))
    if not carried.any():
        nan = float("nan")
        return ScalarFit(tau=nan, share=nan, low=nan, high=nan, tokens=0)
    sums, counts = _by_unit(table, carried, grid)

    def share(weight: Floats) -> float:
        return _best(weight @ sums / (weight @ counts))[1]

    estimate = jackknife(share, len(counts), int(counts.sum()))
    beta, best = _best(sums.sum(0) / counts.sum())
    return ScalarFit(tau=1.0 / beta, share=best, low=estimate.low, high=estimate.high, tokens=int(counts.sum()))


def _by_unit(table: TokenTable, carried: Flags, values: Floats) -> tuple[Floats, Floats]:
    """Sums of each column and token counts per document, over the tokens that carry the values."""
    units, size = table.cluster[carried], len(table.units)
    columns = [np.bincount(units, weights=column, minlength=size) for column in values[carried].T]
    sums: Floats = np.stack(columns, 1).astype(np.float64)
    counts = np.bincount(units, minlength=size).astype(np.float64)
    used = counts > 0
    return sums[used], counts[used]


def _best(curve: Floats) -> tuple[float, float]:
    """Best inverse temperature and the share of KL that it removes."""
    betas = INVERSE_TEMPERATURES
    now = float(curve[INVERSE_TEMPERATURES.index(1.0)])
    if now <= 1e-9:
        return 1.0, 0.0
    at = min(max(int(np.argmin(curve)), 1), len(betas) - 2)
    x, y = betas[at - 1 : at + 2], curve[at - 1 : at + 2]
    rise = (y[1] - y[0]) / (x[1] - x[0])  # Newton's form of the parabola through the three
    bend = ((y[2] - y[1]) / (x[2] - x[1]) - rise) / (x[2] - x[0])
    beta = float(betas[int(np.argmin(curve))])
    if bend > 0:
        beta = min(max((x[0] + x[1] - rise / bend) / 2, betas[0]), betas[-1])
    bottom = y[0] + (beta - x[0]) * (rise + bend * (beta - x[1]))
    lowest = max(min(float(bottom), float(curve.min())), 0.0)
    return float(beta), 1.0 - lowest / now
