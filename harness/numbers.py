"""The one place where numbers become text: digits follow the error, not the machine."""

from __future__ import annotations

import math


def number(value: float, digits: int = 3) -> str:
    """A number with three significant digits; tiny ones in scientific form."""
    if math.isnan(value):
        return "-"
    if math.isinf(value):
        return "infinite" if value > 0 else "-infinite"
    if value == 0:
        return "0"
    if abs(value) < 1e-3 or abs(value) >= 1e5:
        return f"{value:.{digits - 1}e}"
    decimals = max(digits - 1 - math.floor(math.log10(abs(value))), 0)
    return f"{value:.{decimals}f}"


def share(value: float) -> str:
    """A share as a percentage; close to 0 or 1 with more decimals, so that 99.97 % is not shown as 100 %."""
    if math.isnan(value):
        return "-"
    room = min(abs(value), abs(1 - value))
    if room == 0:
        return f"{100 * value:.0f} %"
    decimals = 1 if room >= 0.05 else 2 if room >= 0.005 else 3
    return f"{100 * value:.{decimals}f} %"


def valued(value: float, unit: str) -> str:
    """A value in its unit's form."""
    return share(value) if unit == "share" else number(value, 4 if unit == "ratio" else 3)


def interval(low: float, high: float, unit: str) -> str:
    """An interval in its unit's form, or a dash."""
    if math.isnan(low) or math.isnan(high):
        return "-"
    return f"{valued(low, unit)} to {valued(high, unit)}"


def percent_level(level: float) -> str:
    """A confidence level as people write it: 95 %, 99.2 %."""
    return f"{100 * level:.3g} %"
