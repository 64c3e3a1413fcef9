"""One gate as it is written: a metric, ``<=`` or ``>=``, and a bound.

``kl_ref_cand<=0.02``, ``ear>=98%``, ``kl_ref_cand<=2x band``, ``bits>=4.2``, ``kl_ref_cand<=1.1x baseline``,
``top1_agreement>=baseline-1%``.
"""

from __future__ import annotations

import difflib
import math
import re
from typing import Literal

from harness.comparisons.distributions.documents import has_difference, has_ratio
from harness.comparisons.distributions.metrics import METRICS, QUANTILES
from harness.comparisons.model import Result
from harness.errors import UsageError

BITS = "bits"  # round-to-nearest bits that the candidate behaves like
EXAMPLES = "'kl_ref_cand<=0.02', 'ear>=98%', 'kl_ref_cand<=2x band', 'bits>=4.2', 'kl_ref_cand<=1.1x baseline'"

Yardstick = Literal["", "band", "baseline"]
Form = Literal["absolute", "ratio", "difference"]

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_GATE = re.compile(r"\s*(?P<key>[A-Za-z0-9_]+)\s*(?P<sign><=|>=)\s*(?P<bound>.+?)\s*")
_ABSOLUTE = re.compile(rf"(?P<number>{_NUMBER})\s*(?P<percent>%?)")
_RATIO = re.compile(rf"(?P<number>{_NUMBER})\s*x\s*(?P<yardstick>band|baseline)")
_DIFFERENCE = re.compile(
    rf"(?P<yardstick>band|baseline)\s*(?:(?P<number>[+-]\s*{_NUMBER.replace('[+-]?', '', 1)})\s*(?P<percent>%?))?"
)
_SIGNS = re.compile(r"<=|>=|==|<|>|=")


class Gate(Result):
    """A bound on a number. ``ratio`` and ``difference`` are to the honest band or to a baseline, paired by document."""

    key: str
    upper: bool  # <=, else >=
    form: Form
    yardstick: Yardstick
    bound: float  # in the number's own unit; shares as shares, not percent

    @property
    def text(self) -> str:
        """The gate in its shortest form; reading it back gives the same gate."""
        return f"{self.key}{'<=' if self.upper else '>='}{self._bound()}"

    def _bound(self) -> str:
        if self.form == "ratio":
            return f"{self.bound!r}".removesuffix(".0") + f"x {self.yardstick}"
        number = f"{100 * self.bound:.12g}%" if _is_share(self.key) else f"{self.bound!r}".removesuffix(".0")
        if self.form == "absolute":
            return number
        return f"{self.yardstick}{'' if self.bound < 0 else '+'}{number}" if self.bound else self.yardstick


def known_metrics() -> list[str]:
    """Every name that a gate can bound."""
    return [*METRICS, *QUANTILES, BITS]


def parse_gate(text: str) -> Gate:
    """Read a gate; raises UsageError that says what is wrong, with the closest metric where a name is."""
    found = _GATE.fullmatch(text)
    if not found:
        signs = _SIGNS.findall(text)
        hint = f"bounds are <= or >=, not {signs[0]}; " if len(signs) == 1 and signs[0] not in {"<=", ">="} else ""
        raise UsageError(f"{text[:200]!r} is no gate", fix=f"{hint}write for example {EXAMPLES}")
    key, upper, bound = found["key"], found["sign"] == "<=", found["bound"]
    if key not in known_metrics():
        near = difflib.get_close_matches(key.lower(), known_metrics(), n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UsageError(f"there is no metric {key!r}", where=text, fix=f"{hint}metrics: {', '.join(known_metrics())}")
    if parsed := _ABSOLUTE.fullmatch(bound):
        gate = Gate(key=key, upper=upper, form="absolute", yardstick="", bound=_number(parsed, key, text))
    elif parsed := _RATIO.fullmatch(bound):
        gate = Gate(key=key, upper=upper, form="ratio", yardstick=parsed["yardstick"], bound=float(parsed["number"]))  # type: ignore[arg-type]
    elif parsed := _DIFFERENCE.fullmatch(bound):
        number = _number(parsed, key, text) if parsed["number"] else 0.0
        gate = Gate(key=key, upper=upper, form="difference", yardstick=parsed["yardstick"], bound=number)  # type: ignore[arg-type]
    else:
        raise UsageError(f"{bound[:200]!r} is no bound", where=text[:200], fix=f"write for example {EXAMPLES}")
    _check(gate, text)
    return gate


def _number(parsed: re.Match[str], key: str, text: str) -> float:
    value = float(parsed["number"].replace(" ", ""))
    if not parsed["percent"]:
        return value
    if not _is_share(key):
        raise UsageError(f"{key} is no share, so a bound in percent means nothing", where=text)
    return value / 100


def _is_share(key: str) -> bool:
    return key in METRICS and METRICS[key].unit == "share"


def _check(gate: Gate, text: str) -> None:
    """Refuse bounds that cannot fail, cannot be met, point the wrong way, or cannot be estimated."""
    metric = METRICS.get(gate.key)
    if not math.isfinite(gate.bound):
        raise UsageError("a bound must be finite", where=text)
    better = "higher" if gate.key == BITS else metric.better if metric else "lower"
    if better != "zero" and gate.upper == (better == "higher"):
        raise UsageError(f"{better} is better for {gate.key}: this bound would pass what is bad", where=text,
                         fix=f"write {gate.key}{'>=' if gate.upper else '<='}...")  # fmt: skip
    if gate.form == "absolute":
        _check_absolute(gate, text)
        return
    if metric is None:
        raise UsageError(f"{gate.key} has no sums per document, so it cannot be held against a {gate.yardstick}",
                         where=text, fix=f"bound it absolutely, or take one of: {', '.join(METRICS)}")  # fmt: skip
    if gate.form == "ratio" and not has_ratio(metric):
        raise UsageError(
            f"a ratio of {gate.key} means little", where=text, fix=f"write {gate.key}>={gate.yardstick}-1%"
        )
    if gate.form == "ratio" and gate.bound <= 0:
        raise UsageError("a ratio is bounded by a positive number", where=text)
    if gate.form == "difference" and not has_difference(metric):
        raise UsageError(
            f"a difference of {gate.key} cannot be estimated",
            where=text,
            fix=f"write {gate.key}<=1.1x {gate.yardstick}",
        )
    if gate.form == "difference" and metric.unit == "share" and abs(gate.bound) >= 1:
        raise UsageError(f"{gate.key} cannot move by {100 * abs(gate.bound):g} points or more", where=text,
                         fix=f"for one point write {gate.yardstick}{'+' if gate.bound > 0 else '-'}1%")  # fmt: skip


def _check_absolute(gate: Gate, text: str) -> None:
    metric = METRICS.get(gate.key)
    if metric and metric.better == "zero" and metric.scale != "exp":
        return  # a loss or an entropy may move either way
    if _is_share(gate.key):
        trivial = 1.0 if gate.upper else 0.0
        if not 0 <= gate.bound <= 1 or gate.bound == trivial:
            raise UsageError(f"{gate.key} lies between 0 and 1, so this bound cannot decide", where=text,
                             fix="write 98% or 0.98")  # fmt: skip
    elif gate.bound < 0 or (gate.bound == 0 and not gate.upper):
        raise UsageError(f"{gate.key} is never negative, so this bound cannot decide", where=text)
