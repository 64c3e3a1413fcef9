"""Intervals for statistics that have no formula: quantiles by cluster bootstrap, smooth functions by jackknife."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from harness.evidence.clustered import LEVEL, Estimate, Floats, Ints, cluster_note, t_quantile

_MIN_EXCEEDANCES = 10
_DRAWS = 400


def quantiles(values: Floats, shares: Sequence[float]) -> list[float]:
    """Quantiles over the finite values, NaN where fewer than ten lie beyond one."""
    values = values[np.isfinite(values)]
    known = [len(values) * (1 - share) >= _MIN_EXCEEDANCES for share in shares]
    found = np.quantile(values, shares) if any(known) else np.empty(len(shares))
    return [float(value) if enough else float("nan") for value, enough in zip(found, known, strict=True)]


def quantile_interval(
    values: Floats, clusters: Ints, share: float, rng: np.random.Generator, level: float = LEVEL
) -> Estimate:
    """A quantile over tokens with a percentile interval from resampling whole clusters.

    Suppressed (NaN, with a note) when fewer than ten tokens lie beyond it: such a quantile is one outlier's value.
    The percentile bootstrap is rough under about 20 clusters.
    """
    return quantile_intervals(values, clusters, (share,), rng, level)[0]


def quantile_intervals(
    values: Floats, clusters: Ints, shares: Sequence[float], rng: np.random.Generator, level: float = LEVEL
) -> list[Estimate]:
    """Several quantiles, each as :func:`quantile_interval` gives it, from the same draws of clusters."""
    kept = np.isfinite(values)
    values, clusters = values[kept], clusters[kept]
    groups = np.unique(clusters)
    order = np.argsort(values)
    ranked, owner = values[order], np.searchsorted(groups, clusters[order])
    draws = np.zeros((len(shares), _DRAWS))
    if len(groups) > 1:
        for index, pick in enumerate(rng.integers(0, len(groups), size=(_DRAWS, len(groups)))):
            weight = np.bincount(pick, minlength=len(groups))[owner].cumsum()
            draws[:, index] = ranked[np.searchsorted(weight, np.asarray(shares) * weight[-1])]
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=1)
    spread, found, size = draws.std(axis=1), quantiles(values, shares), (len(values), len(groups))
    return [_estimate(*one, *size) for one in zip(found, low.tolist(), high.tolist(), spread.tolist(), strict=True)]


def _estimate(value: float, low: float, high: float, spread: float, tokens: int, groups: int) -> Estimate:
    nan = float("nan")
    if np.isnan(value):
        return Estimate(nan, nan, nan, nan, tokens, groups, nan, "too few tokens beyond this quantile")
    if groups < 2:  # one document says nothing about others
        return Estimate(value, -np.inf, np.inf, np.inf, tokens, groups, nan, cluster_note(groups))
    return Estimate(value, low, high, spread, tokens, groups, nan, cluster_note(groups))


def jackknife(statistic: Callable[[Floats], float], groups: int, tokens: int) -> Estimate:
    """Delete-one-cluster jackknife of a smooth statistic.

    ``statistic`` takes a 0/1 weight per cluster. Not for quantiles or counts, whose jackknife variance is wrong.
    """
    whole = statistic(np.ones(groups))
    left_out = np.array([statistic(np.arange(groups) != g) for g in range(groups)], dtype=np.float64)
    finite = left_out[np.isfinite(left_out)]
    if len(finite) < 2 or not np.isfinite(whole):
        nan = float("nan")
        return Estimate(whole, nan, nan, nan, tokens, groups, nan, "not enough documents for an interval")
    se = float(np.sqrt((len(finite) - 1) / len(finite) * np.sum((finite - finite.mean()) ** 2)))
    reach = t_quantile(groups) * se
    return Estimate(whole, whole - reach, whole + reach, se, tokens, groups, float("nan"), cluster_note(groups))
