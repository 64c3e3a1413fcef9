"""The headline numbers of the distribution layer: one registry, and their clustered intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np

from harness.comparisons.model import Better, CheckResult
from harness.comparisons.table import TokenTable
from harness.evidence.clustered import LEVEL, Estimate, Floats, mean_interval, positive_mean_interval
from harness.evidence.resampling import quantile_interval, quantile_intervals, quantiles

CONFIDENT_MARGIN = 0.10
_SEED = 20261101

#: How the mean of a metric's token values becomes the published number, and on which scale its interval is taken:
#: as it is; a positive mean, on the logarithm; 1 minus a positive mean; exp of the mean; root of a positive mean.
Scale = Literal["plain", "log", "complement", "exp", "root"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A published number that is a function of one mean over tokens; ``values`` gives it per token, NaN where void."""

    key: str
    title: str
    unit: str
    better: Better
    scale: Scale
    values: Callable[[TokenTable], Floats]

    @property
    def counted(self) -> bool:
        """Whether it counts tokens at which something happened."""
        return self.unit == "share" and self.scale == "plain" and self.better != "zero"

    def estimate(self, table: TokenTable, level: float = LEVEL) -> Estimate:
        """The number with its interval over documents; ``se`` is on the scale of the interval."""
        values = self.values(table)
        if self.scale == "plain":
            return mean_interval(values, table.cluster, level)
        if self.scale == "exp":
            log = mean_interval(values, table.cluster, level)
            value, low, high = np.exp([log.value, log.low, log.high])
            return replace(log, value=float(value), low=float(low), high=float(high))
        inner = positive_mean_interval(values, table.cluster, level)
        if self.scale == "complement":
            return replace(inner, value=1 - inner.value, low=1 - inner.high, high=1 - inner.low)
        if self.scale == "root":
            value, low, high = np.sqrt(np.maximum([inner.value, inner.low, inner.high], 0.0))
            return replace(inner, value=float(value), low=float(low), high=float(high), se=inner.se / 2)
        return inner

    def check(self, table: TokenTable) -> CheckResult:
        """The number as a check."""
        return CheckResult.of(self.key, self.title, self.unit, self.better, self.estimate(table))


@dataclass(frozen=True, slots=True)
class Quantile:
    """A published quantile of the divergence of single tokens; it has no sum per document."""

    key: str
    share: float

    @property
    def title(self) -> str:
        """In words."""
        return f"KL, {self.share * 100:g} % quantile"

    def estimate(self, table: TokenTable, level: float = LEVEL) -> Estimate:
        """The quantile with its interval over documents."""
        rng = np.random.default_rng(_SEED)
        return quantile_interval(table.column("kl_ref_cand"), table.cluster, self.share, rng, level)

    def check(self, estimate: Estimate) -> CheckResult:
        """Its estimate as a check."""
        return CheckResult.of(self.key, self.title, "nat/token", "lower", estimate)


def headline(table: TokenTable) -> list[CheckResult]:
    """Every metric over all scored tokens of a table."""
    checks = [metric.check(table) for metric in METRICS.values()]
    shares = [one.share for one in QUANTILES.values()]
    found = quantile_intervals(table.column("kl_ref_cand"), table.cluster, shares, np.random.default_rng(_SEED))
    checks += [one.check(estimate) for one, estimate in zip(QUANTILES.values(), found, strict=True)]
    if (table.column("kl_se") > 0).any():
        checks.insert(1, sketch_check(table))
    return checks


def points(table: TokenTable) -> dict[str, float]:
    """The values of :func:`headline` by key, without their intervals."""
    found = {metric.key: metric.estimate(table).value for metric in METRICS.values()}
    shares = [one.share for one in QUANTILES.values()]
    found |= dict(zip(QUANTILES, quantiles(table.column("kl_ref_cand"), shares), strict=True))
    return found | ({"kl_lower": sketch_check(table).value} if (table.column("kl_se") > 0).any() else {})


def sketch_check(table: TokenTable) -> CheckResult:
    """The part of the KL that a sketched reference proves, and in the note the error that its draws leave on the rest.

    The draws of different tokens are independent, so their errors add in squares. The clustered interval of the KL
    already holds this error: it is one of the reasons why tokens of a document differ.
    """
    lower = CheckResult.of(
        "kl_lower",
        "part of the KL that is certain",
        "nat/token",
        "lower",
        positive_mean_interval(table.column("kl_lower"), table.cluster),
    )
    kl, errors = table.column("kl_ref_cand"), table.column("kl_se")
    seen = np.isfinite(kl)
    mean, error = float(kl[seen].mean()), float(np.sqrt((errors[seen] ** 2).sum()) / max(seen.sum(), 1))
    share = f", {error / mean:.2%} of it" if mean > 0 else ""
    note = f"reference kept as a sketch: its draws leave the KL a standard error of {error:.1e}{share}"
    return lower.model_copy(update={"note": note})


def with_floors(checks: list[CheckResult], honest: list[dict[str, float]]) -> list[CheckResult]:
    """Put beside each number that of the honest configuration which moves it most."""
    done = []
    for check in checks:
        values = [value for member in honest if np.isfinite(value := member.get(check.key, np.nan))]
        floor = float("nan")
        if values:
            neutral = 1.0 if check.key == "ppl_ratio" else 0.0
            pick = {"lower": max, "higher": min}.get(check.better)
            floor = pick(values) if pick else max(values, key=lambda value: abs(value - neutral))
        note = check.note
        if check.key == "kl_ref_cand" and floor > 0 and check.value < 2 * floor and not note:
            note = "floor-limited: under twice the honest band"
        done.append(check.model_copy(update={"floor": floor, "note": note}))
    return done


def _column(name: str, table: TokenTable) -> Floats:
    return table.column(name)


def _void(table: TokenTable, values: Floats) -> Floats:
    return np.where(table.scored == 1, values, np.nan)


def _agreement(table: TokenTable) -> Floats:
    return _void(table, table.rows["agree"].astype(np.float64))


def _flips(table: TokenTable) -> Floats:
    flipped = (table.rows["agree"] == 0) & (table.column("margin_ref") >= CONFIDENT_MARGIN)
    return _void(table, flipped.astype(np.float64))


def _recall(k: int, table: TokenTable) -> Floats:
    return _void(table, (table.rows["rank_ref_top1"] < k).astype(np.float64))


def _overlap(k: int, table: TokenTable) -> Floats:
    return _void(table, table.rows[f"overlap{k}"].astype(np.float64) / k)


def _delta_nll(table: TokenTable) -> Floats:
    return table.column("nll_cand") - table.column("nll_ref")


def _dp(table: TokenTable) -> Floats:
    difference: Floats = np.exp(-table.column("nll_cand")) - np.exp(-table.column("nll_ref"))
    return difference


def _dp_square(table: TokenTable) -> Floats:
    return _dp(table) ** 2


def _entropy(table: TokenTable) -> Floats:
    return table.column("entropy_cand") - table.column("entropy_ref")


_KL, _TV = partial(_column, "kl_ref_cand"), partial(_column, "tv")
_LISTED = (
    Metric("kl_ref_cand", "KL(reference || candidate)", "nat/token", "lower", "log", _KL),
    Metric("ear", "expected acceptance rate, 1 - mean TV", "share", "higher", "complement", _TV),
    Metric("top1_agreement", "same most likely token", "share", "higher", "plain", _agreement),
    Metric("confident_flips", "flips where the reference was sure", "share", "lower", "plain", _flips),
    Metric("ppl_ratio", "perplexity ratio", "ratio", "zero", "exp", _delta_nll),
    Metric("dp_rms", "RMS change of the true token's probability", "share", "lower", "root", _dp_square),
    Metric("kl_cand_ref", "KL(candidate || reference)", "nat/token", "lower", "log", partial(_column, "kl_cand_ref")),
    Metric("js", "Jensen-Shannon divergence", "nat/token", "lower", "log", partial(_column, "js")),
    Metric("tv", "total variation", "share", "lower", "log", _TV),
    Metric("top5_recall", "reference's first in candidate's top 5", "share", "higher", "plain", partial(_recall, 5)),
    Metric("top10_recall", "reference's first in candidate's top 10", "share", "higher", "plain", partial(_recall, 10)),
    Metric("top5_overlap", "shared ids of both top 5", "share", "higher", "plain", partial(_overlap, 5)),
    Metric("top10_overlap", "shared ids of both top 10", "share", "higher", "plain", partial(_overlap, 10)),
    Metric("delta_nll", "candidate's loss minus the reference's", "nat/token", "zero", "plain", _delta_nll),
    Metric("dp_mean", "mean change of the true token's probability", "share", "zero", "plain", _dp),
    Metric("delta_entropy", "candidate's entropy minus the reference's", "nat/token", "zero", "plain", _entropy),
)
METRICS = {metric.key: metric for metric in _LISTED}
QUANTILES = {
    key: Quantile(key, share) for key, share in (("kl_p50", 0.5), ("kl_p90", 0.9), ("kl_p99", 0.99), ("kl_p999", 0.999))
}
