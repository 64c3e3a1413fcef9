"""Bits per byte: how well each side predicts the same text in its own tokens, where token divergences are undefined."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from harness.comparisons.model import CheckResult, Result
from harness.evidence.clustered import Floats
from harness.evidence.resampling import jackknife
from harness.numbers import number


class BitsPerByte(Result):
    """Both sides' bits per byte, and the paired difference with its 95 % interval over documents.

    A lower number is a better compressor of these texts, not a model that is closer to the reference: two different
    models can be equally good. So this never makes a candidate WITHIN; it says how far apart two models are at least.
    """

    reference: float
    candidate: float
    difference: CheckResult

    @property
    def sentence(self) -> str:
        """The reading in words."""
        d = self.difference
        return (
            f"On {d.clusters} texts it needs {self.candidate:.4f} bits per byte where the reference needs "
            f"{self.reference:.4f} (difference {number(d.value)}, 95 % interval {number(d.low)} to {number(d.high)})."
        )


def bits_per_byte(stored: dict[str, Any] | None) -> BitsPerByte | None:
    """Read what was stored per text; None where nothing could be measured on at least two documents."""
    entries = [e for e in (stored or {}).values() if math.isfinite(e["reference"]) and math.isfinite(e["candidate"])]
    clusters = sorted({entry["cluster"] for entry in entries})
    if len(clusters) < 2:
        return None
    size = len(clusters)
    index = np.array([clusters.index(entry["cluster"]) for entry in entries])

    def summed(name: str) -> Floats:
        values = np.array([float(entry[name]) for entry in entries])
        return np.bincount(index, weights=values, minlength=size).astype(np.float64)

    length = summed("bytes") * math.log(2)
    ours, theirs = summed("reference"), summed("candidate")
    estimate = jackknife(lambda w: float(w @ (theirs - ours) / (w @ length)), size, int(summed("bytes").sum()))
    title = "bits per byte, candidate minus reference"
    return BitsPerByte(
        reference=float(ours.sum() / length.sum()),
        candidate=float(theirs.sum() / length.sum()),
        difference=CheckResult.of("bits_per_byte", title, "bit/byte", "zero", estimate),
    )
