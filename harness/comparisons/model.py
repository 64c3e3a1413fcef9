"""Results of checks: a value, its interval, the yardstick beside it, and when not to trust it."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict

from harness.evidence.clustered import Estimate

Better = Literal["lower", "higher", "zero"]


class Result(BaseModel):
    """Base of stored results: frozen, no unknown keys, NaN and infinity kept as words instead of null."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings", defer_build=True)


class CheckResult(Result):
    """One number of a comparison.

    ``low`` and ``high`` bound the 95 % interval over documents; ``floor`` is the same number for the honest
    configuration that moves it most, NaN where no band was measured; ``note`` is empty when the row can be trusted.
    """

    key: str
    title: str
    unit: str
    better: Better
    value: float
    low: float
    high: float
    floor: float
    tokens: int
    clusters: int
    design_effect: float
    note: str

    @classmethod
    def of(
        cls, key: str, title: str, unit: str, better: Better, estimate: Estimate, floor: float = float("nan")
    ) -> CheckResult:
        """Wrap an estimate; a share lies between 0 and 1, and so does its interval."""
        low, high = estimate.low, estimate.high
        if unit == "share" and better != "zero":
            low, high = (end if math.isnan(end) else min(max(end, 0.0), 1.0) for end in (low, high))
        return cls(
            key=key,
            title=title,
            unit=unit,
            better=better,
            value=estimate.value,
            low=low,
            high=high,
            floor=floor,
            tokens=estimate.tokens,
            clusters=estimate.clusters,
            design_effect=estimate.design_effect,
            note=estimate.note,
        )


class Slice(Result):
    """The mean divergence on a part of the tokens."""

    axis: str
    name: str
    value: float
    low: float
    high: float
    tokens: int
    clusters: int
    note: str


class Difference(Result):
    """A fact of the files that is not the same on both sides; ``field`` is a dotted path."""

    field: str
    reference: str
    candidate: str
