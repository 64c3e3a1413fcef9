"""Harm on few large groups: how often the upper end of the loss lies below the true loss, by the rule and by the one before it.

    make bench-harm

Items come in groups that share a text, as many to a group as stated. Within group g an item flips with chance f_g; a flip is
a loss with chance s_g. Both are drawn per group from beta distributions of the stated means and intraclass correlations (0: the
same for all groups), so that the true loss is flips (2 losses - 1), exactly. "rare": a tenth of the groups holds the whole loss.

- *below*: how often the true loss lies above the upper end, which clears a candidate wrongly where the margin is the true loss:
  at most 2.5 % is promised. *above*: how often it lies below the lower end. *accused*: how often "no worse" is rejected at
  0.025 where flips go either way alike. *width*: mean distance from the loss to the upper end, in points.
- "before" is Tango's interval with counts over their design effect and the normal quantile, which the product used.

Unit: the group. Fixed seeds.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from _table import write

from harness.evidence import paired
from harness.evidence.paired import paired_loss, tango

DRAWS, SEED = 1000, 20261130
GROUPS = ((25, 40), (25, 20), (50, 40), (50, 20), (200, 10))
#: Flips, the correlation of flips, the share of losses among them, the correlation of that share.
KINDS = {
    "alike": (0.10, 0.0, 0.6, 0.0), "groups differ": (0.10, 0.1, 0.6, 0.1), "groups differ much": (0.10, 0.3, 0.6, 0.3),
    "losses cling together": (0.08, 0.1, 0.7, 0.6), "few flips": (0.04, 0.1, 0.75, 0.1), "no loss": (0.10, 0.2, 0.5, 0.3),
}  # fmt: skip


def chances(mean: float, correlation: float, groups: int, rng: np.random.Generator) -> np.ndarray:
    """One chance per group."""
    if not correlation:
        return np.full(groups, mean)
    total = (1 - correlation) / correlation
    return rng.beta(mean * total, (1 - mean) * total, groups)


def drawn(kind: str, groups: int, items: int, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Differences (1 lost, -1 won), group after group, and the true loss."""
    if kind == "rare":
        flips = np.where(rng.random(groups) < 0.1, 0.3, 0.02)
        shares, true = np.where(flips > 0.1, 1.0, 0.5), 0.03
    else:
        flip, together, share, alike = KINDS[kind]
        flips, shares = chances(flip, together, groups, rng), chances(share, alike, groups, rng)
        true = flip * (2 * share - 1)
    flipped = rng.random((groups, items)) < flips[:, None]
    lost = rng.random((groups, items)) < shares[:, None]
    return np.where(flipped, np.where(lost, 1.0, -1.0), 0.0).ravel(), true


def before(difference: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """The interval that the product used."""
    shrink = paired._design_effect(difference, labels)
    lost, won = float((difference > 0).sum()), float((difference < 0).sum())
    return tango(lost / shrink, won / shrink, len(difference) / shrink)


def main(draws: int = DRAWS) -> None:
    rng = np.random.default_rng(SEED)
    rows: list[dict[str, object]] = []
    for groups, items in GROUPS:
        labels = np.repeat(np.arange(groups), items)
        for kind in (*KINDS, "rare"):
            counts = {rule: np.zeros(3) for rule in ("before", "product")}
            accused = 0
            for _ in range(draws):
                difference, true = drawn(kind, groups, items, rng)
                loss = paired_loss(np.maximum(difference, 0.0), np.maximum(-difference, 0.0), labels)
                accused += loss.worse <= 0.025
                for rule, (low, high) in (("before", before(difference, labels)), ("product", (loss.low, loss.high))):
                    counts[rule] += (high < true, low > true, 100 * (high - loss.value))
            for rule, (below, above, width) in counts.items():
                rows.append({"groups": groups, "items": items, "what": kind, "rule": rule, "draws": draws,
                             "below": round(below / draws, 4), "above": round(above / draws, 4),
                             "width": round(width / draws, 2),
                             "accused": round(accused / draws, 4) if kind == "no loss" else None})  # fmt: skip
                print(rows[-1], flush=True)
    write("harm_coverage", rows, {"level": 0.95, "seed": SEED})


if __name__ == "__main__":
    main()
