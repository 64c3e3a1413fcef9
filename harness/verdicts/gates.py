"""Gates: a bound on a number, read as an equivalence test. Inside, outside, or not enough data to say."""

from __future__ import annotations

import difflib
import math
import re

from harness.comparisons.model import CheckResult, Result
from harness.errors import UsageError
from harness.evidence.clustered import Estimate
from harness.evidence.equivalence import Side, against_bound

_GATE = re.compile(r"^\s*([a-z0-9_]+)\s*(<=|>=)\s*([0-9.eE+-]+)\s*$")


class Gate(Result):
    """A parsed gate such as ``kl_ref_cand<=0.02``."""

    key: str
    upper: bool
    bound: float

    @property
    def text(self) -> str:
        """The gate as it is written."""
        return f"{self.key}{'<=' if self.upper else '>='}{self.bound:g}"


class GateReading(Result):
    """Where the number stands to the bound, judged by its 95 % interval."""

    gate: Gate
    value: float
    low: float
    high: float
    side: Side


def parse_gate(text: str, known: list[str]) -> Gate:
    """Read a gate; raises UsageError with the closest metric."""
    found = _GATE.match(text)
    if not found:
        raise UsageError(f"{text!r} is no gate", fix="write for example --gate 'kl_ref_cand<=0.02'")
    key, sign, number = found.groups()
    if key not in known:
        near = difflib.get_close_matches(key, known, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UsageError(f"there is no metric {key!r}", fix=f"{hint}metrics: {', '.join(known)}")
    try:
        bound = float(number)
    except ValueError as error:
        raise UsageError(f"{number!r} is no number", where=text) from error
    return Gate(key=key, upper=sign == "<=", bound=bound)


def read_gate(gate: Gate, checks: list[CheckResult]) -> GateReading:
    """Judge a gate. A lower bound is the upper bound of the mirrored number."""
    check = next(check for check in checks if check.key == gate.key)
    sign = 1.0 if gate.upper else -1.0
    bottom, top = _bounds(check)
    low, high = sorted((sign * bottom, sign * top))
    mirrored = Estimate(sign * check.value, low, high, 0.0, check.tokens, check.clusters, 0.0)
    side = against_bound(mirrored, sign * gate.bound)
    return GateReading(gate=gate, value=check.value, low=bottom, high=top, side=side)


def _bounds(check: CheckResult) -> tuple[float, float]:
    """The interval of a check; where nothing varied, what can still be said.

    A share that was the same on every token of G documents is bounded by the rule of three, 1 - 0.025**(1/G) away.
    A divergence that is exactly 0 on every token is a fact about two equal distributions, not an estimate.
    """
    if not math.isnan(check.low) or math.isnan(check.value) or "no variation" not in check.note:
        return check.low, check.high
    if check.unit != "share":
        return check.value, check.value
    reach = 1 - 0.025 ** (1 / check.clusters)
    return max(check.value - reach, 0.0), min(check.value + reach, 1.0)
