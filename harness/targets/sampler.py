"""The sampler that a host is asked for and held to: temperature, and at most one cut-off."""

from __future__ import annotations

import math
from typing import Final

from pydantic import JsonValue

from harness.errors import UsageError
from harness.suites.model import Frozen

#: Cut-offs that some hosts force on every request.
KINDS: Final = ("top_p", "top_k", "min_p")
#: How far rounding may move the place at which an honest host cuts off: in probability for top_p, in nats for the others.
EDGE: Final = {"top_p": 0.02, "top_k": 0.1, "min_p": 0.1}
_FEW_K = 2


class Sampler(Frozen):
    """What both sides are computed under. ``cut`` is one of ``KINDS`` or empty; ``value`` its threshold."""

    temperature: float = 1.0
    cut: str = ""
    value: float = 0.0

    @property
    def plain(self) -> bool:
        """Whether tokens are drawn from the whole distribution as the model gives it."""
        return self.temperature == 1.0 and not self.cut

    def __str__(self) -> str:
        """For people: ``temperature 1, top_p 0.95``."""
        return f"temperature {self.temperature:g}" + (f", {self.cut} {self.value:g}" if self.cut else "")

    def fields(self) -> dict[str, JsonValue]:
        """What a request says of it; everything else is switched off by the request itself."""
        cut = {self.cut: int(self.value) if self.cut == "top_k" else self.value} if self.cut else {}
        return {"temperature": self.temperature, "top_p": 1.0, **cut}


def parse_sampler(text: str) -> Sampler:
    """Read ``temperature=0.7`` or ``top_p=0.95``; raises UsageError for anything that cannot be held to."""
    found: dict[str, float] = {}
    for part in text.split(",") if text else ():
        name, _, value = part.strip().partition("=")
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if name not in {"temperature", *KINDS} or name in found or not math.isfinite(number):
            raise UsageError(f"a sampler has no {part.strip()!r}", fix="write temperature=0.7 or top_p=0.95")
        found[name] = number
    temperature = found.pop("temperature", 1.0)
    if not 0.1 <= temperature <= 2.0:
        raise UsageError(
            f"replies at temperature {temperature:g} say next to nothing about a distribution",
            fix="ask for a temperature between 0.1 and 2",
        )
    cuts = {name: value for name, value in found.items() if not _idle(name, value)}
    if len(cuts) > 1:
        raise UsageError("a host can be held to one cut-off, not to several", fix="ask for one of " + ", ".join(KINDS))
    for name, at in cuts.items():
        if not (0 < at < 1 if name != "top_k" else at >= _FEW_K and at == int(at)):
            raise UsageError(f"{name}={at:g} is no cut-off", fix="write top_p=0.95, top_k=40 or min_p=0.05")
        if temperature != 1.0:
            raise UsageError(
                "engines disagree whether a cut-off comes before or after the temperature",
                fix="ask for a temperature or for a cut-off, not for both",
            )
        return Sampler(cut=name, value=at)
    return Sampler(temperature=temperature)


def _idle(name: str, value: float) -> bool:
    """Whether a value switches its cut-off off."""
    return value == (1.0 if name == "top_p" else 0.0) or (name == "top_k" and value == -1)
