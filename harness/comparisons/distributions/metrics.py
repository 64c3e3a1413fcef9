"""The headline numbers of the distribution layer, each with a clustered interval."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from harness.comparisons.model import CheckResult
from harness.comparisons.table import TokenTable
from harness.evidence.clustered import Estimate, Floats, mean_interval, positive_mean_interval
from harness.evidence.resampling import quantile_interval

CONFIDENT_MARGIN = 0.10
_QUANTILES = (("kl_p50", 0.50), ("kl_p90", 0.90), ("kl_p99", 0.99), ("kl_p999", 0.999))
_SEED = 20261101


def headline(table: TokenTable) -> list[CheckResult]:
    """Every metric over all scored tokens of a table."""
    checks = [
        CheckResult.of(
            "kl_ref_cand", "KL(reference || candidate)", "nat/token", "lower", _positive(table, "kl_ref_cand")
        ),
        CheckResult.of("ear", "expected acceptance rate, 1 - mean TV", "share", "higher", _ear(table)),
        CheckResult.of("top1_agreement", "same most likely token", "share", "higher", _mean(table, _agreement(table))),
        CheckResult.of("confident_flips", "flips where the reference was sure", "share", "lower", _flips(table)),
        CheckResult.of("ppl_ratio", "perplexity ratio", "ratio", "zero", ppl_ratio(table)),
        CheckResult.of("dp_rms", "RMS change of the true token's probability", "share", "lower", _dp_rms(table)),
        CheckResult.of(
            "kl_cand_ref", "KL(candidate || reference)", "nat/token", "lower", _positive(table, "kl_cand_ref")
        ),
        CheckResult.of("js", "Jensen-Shannon divergence", "nat/token", "lower", _positive(table, "js")),
        CheckResult.of("tv", "total variation", "share", "lower", _positive(table, "tv")),
        CheckResult.of("top5_recall", "reference's first in candidate's top 5", "share", "higher", _recall(table, 5)),
        CheckResult.of(
            "top10_recall", "reference's first in candidate's top 10", "share", "higher", _recall(table, 10)
        ),
        CheckResult.of("top5_overlap", "shared ids of both top 5", "share", "higher", _overlap(table, 5)),
        CheckResult.of("top10_overlap", "shared ids of both top 10", "share", "higher", _overlap(table, 10)),
        CheckResult.of("delta_nll", "candidate's loss minus the reference's", "nat/token", "zero", _delta_nll(table)),
        CheckResult.of("dp_mean", "mean change of the true token's probability", "share", "zero", _dp_mean(table)),
        CheckResult.of(
            "delta_entropy", "candidate's entropy minus the reference's", "nat/token", "zero", _entropy(table)
        ),
    ]
    if (table.column("kl_se") > 0).any():
        checks.insert(1, sketch_check(table))
    kl = table.column("kl_ref_cand")
    for key, share in _QUANTILES:
        estimate = quantile_interval(kl, table.cluster, share, np.random.default_rng(_SEED))
        checks.append(CheckResult.of(key, f"KL, {share * 100:g} % quantile", "nat/token", "lower", estimate))
    return checks


def sketch_check(table: TokenTable) -> CheckResult:
    """The part of the KL that a sketched reference proves, and in the note the error that its draws leave on the rest.

    The draws of different tokens are independent, so their errors add in squares. The clustered interval of the KL
    already holds this error: it is one of the reasons why tokens of a document differ.
    """
    lower = CheckResult.of(
        "kl_lower", "part of the KL that is certain", "nat/token", "lower", _positive(table, "kl_lower")
    )
    kl, errors = table.column("kl_ref_cand"), table.column("kl_se")
    seen = np.isfinite(kl)
    mean, error = float(kl[seen].mean()), float(np.sqrt((errors[seen] ** 2).sum()) / max(seen.sum(), 1))
    share = f", {error / mean:.2%} of it" if mean > 0 else ""
    note = f"reference kept as a sketch: its draws leave the KL a standard error of {error:.1e}{share}"
    return lower.model_copy(update={"note": note})


def with_floors(checks: list[CheckResult], honest: list[list[CheckResult]]) -> list[CheckResult]:
    """Put beside each number that of the honest configuration which moves it most."""
    done = []
    for check in checks:
        values = [other.value for member in honest for other in member if other.key == check.key]
        values = [value for value in values if np.isfinite(value)]
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


def ppl_ratio(table: TokenTable) -> Estimate:
    """Candidate's perplexity over the reference's, exp of the mean loss difference; paired, t interval on the log."""
    log = _delta_nll(table)
    return replace(log, value=float(np.exp(log.value)), low=float(np.exp(log.low)), high=float(np.exp(log.high)))


def _mean(table: TokenTable, values: Floats) -> Estimate:
    return mean_interval(values, table.cluster)


def _positive(table: TokenTable, name: str) -> Estimate:
    return positive_mean_interval(table.column(name), table.cluster)


def _ear(table: TokenTable) -> Estimate:
    tv = _positive(table, "tv")
    return replace(tv, value=1 - tv.value, low=1 - tv.high, high=1 - tv.low)


def _void(table: TokenTable, values: Floats) -> Floats:
    return np.where(table.scored == 1, values, np.nan)


def _agreement(table: TokenTable) -> Floats:
    return _void(table, table.rows["agree"].astype(np.float64))


def _flips(table: TokenTable) -> Estimate:
    flipped = (table.rows["agree"] == 0) & (table.column("margin_ref") >= CONFIDENT_MARGIN)
    return _mean(table, _void(table, flipped.astype(np.float64)))


def _recall(table: TokenTable, k: int) -> Estimate:
    return _mean(table, _void(table, (table.rows["rank_ref_top1"] < k).astype(np.float64)))


def _overlap(table: TokenTable, k: int) -> Estimate:
    return _mean(table, _void(table, table.rows[f"overlap{k}"].astype(np.float64) / k))


def _delta_nll(table: TokenTable) -> Estimate:
    return _mean(table, table.column("nll_cand") - table.column("nll_ref"))


def _dp(table: TokenTable) -> Floats:
    difference: Floats = np.exp(-table.column("nll_cand")) - np.exp(-table.column("nll_ref"))
    return difference


def _dp_mean(table: TokenTable) -> Estimate:
    return _mean(table, _dp(table))


def _dp_rms(table: TokenTable) -> Estimate:
    square = positive_mean_interval(_dp(table) ** 2, table.cluster)
    value, low, high = np.sqrt(np.maximum([square.value, square.low, square.high], 0.0))
    return replace(square, value=float(value), low=float(low), high=float(high))


def _entropy(table: TokenTable) -> Estimate:
    return _mean(table, table.column("entropy_cand") - table.column("entropy_ref"))
