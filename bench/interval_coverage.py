"""Coverage of the clustered intervals, by simulation on skewed, correlated tokens with a known mean.

    make bench-calibration

Null: the true mean is exp(...) of the generating law. Unit: the cluster. 4,000 replications per row, fixed seed.
"""

from __future__ import annotations

import numpy as np
from _table import write

from harness.evidence.clustered import mean_interval, positive_mean_interval, ratio_interval

REPLICATIONS = 4000


def draw(rng: np.random.Generator, groups: int, between: float, within: float) -> tuple[np.ndarray, np.ndarray]:
    """Log-normal token divergences: a document effect times a token effect, documents of 60 to 260 tokens."""
    sizes = rng.integers(60, 260, groups)
    clusters = np.repeat(np.arange(groups), sizes)
    effect = rng.normal(0, between, groups)[clusters]
    return np.exp(effect + rng.normal(0, within, len(clusters))), clusters


def main() -> None:
    rows = []
    for groups in (6, 12, 24, 44, 104):
        for between, within in ((0.3, 1.5), (0.6, 1.5)):
            rng = np.random.default_rng(groups * 1000 + int(between * 10))
            truth = float(np.exp((between**2 + within**2) / 2))
            hits = {"t on log mean": 0, "t on mean": 0, "iid t": 0, "ratio of paired means": 0}
            for _ in range(REPLICATIONS):
                values, clusters = draw(rng, groups, between, within)
                log = positive_mean_interval(values, clusters)
                raw = mean_interval(values, clusters)
                iid = 1.96 * values.std() / np.sqrt(len(values))
                other = values * np.exp(rng.normal(0, 0.5, len(values)) - 0.125) * 2.0
                ratio = ratio_interval(other, values, clusters)
                hits["t on log mean"] += log.low <= truth <= log.high
                hits["t on mean"] += raw.low <= truth <= raw.high
                hits["iid t"] += abs(values.mean() - truth) <= iid
                hits["ratio of paired means"] += ratio.low <= 2.0 <= ratio.high
            rows.append({"documents": groups, "between": between, "within": within}
                        | {name: round(count / REPLICATIONS, 4) for name, count in hits.items()})  # fmt: skip
    write("interval_coverage", rows, {"replications": REPLICATIONS, "nominal": 0.95})


if __name__ == "__main__":
    main()
