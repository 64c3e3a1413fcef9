"""Reading a value off a ladder of known rungs: "behaves like 4.3-bit round to nearest"."""

from __future__ import annotations

import math

import numpy as np

from harness.evidence.clustered import Estimate, Floats
from harness.evidence.resampling import jackknife


def equivalent_bits(candidate: Floats, rungs: dict[float, Floats], count: Floats) -> Estimate:
    """Bits at which the ladder shows the candidate's mean divergence, by log-linear interpolation between rungs.

    Args:
        candidate: sums of the divergence per cluster.
        rungs: for each bit width, the same sums for the reference rounded to that width, on the same tokens.
        count: tokens per cluster.

    The interval is a delete-one-cluster jackknife of the whole reading, so what candidate and rungs share cancels.
    Beyond the ends of the ladder the end is returned with a note: a reading outside it would be extrapolation. Rungs
    whose divergence does not fall with bits make the reading ambiguous; the note says so.

    """
    bits = sorted(rungs)
    table = np.stack([rungs[b] for b in bits])

    def read(weight: Floats) -> float:
        kept = weight > 0
        tokens = float(count[kept].sum())
        value = float(candidate[kept].sum()) / tokens
        heights = table[:, kept].sum(1) / tokens
        if value <= 0 or (heights <= 0).any():
            return bits[-1]
        logs = np.log(heights)
        return float(np.interp(math.log(value), logs[::-1], np.array(bits)[::-1]))

    estimate = jackknife(read, len(count), int(count.sum()))
    heights = table.sum(1) / count.sum()
    mean = float(candidate.sum() / count.sum())
    note = estimate.note
    if (np.diff(heights) >= 0).any():
        note = "the ladder is not monotone on these items"
    elif mean < heights[-1]:
        note = f"closer to the reference than {bits[-1]:g} bits"
    elif mean > heights[0]:
        note = f"further away than {bits[0]:g} bits"
    return Estimate(
        estimate.value,
        max(estimate.low, bits[0]),
        min(estimate.high, bits[-1]),
        estimate.se,
        estimate.tokens,
        estimate.clusters,
        estimate.design_effect,
        note,
    )
