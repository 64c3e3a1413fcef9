"""Gates in words, for verdicts, terminals and reports."""

from __future__ import annotations

import math

from harness.numbers import interval, number, valued
from harness.verdicts.gates.expression import BITS
from harness.verdicts.gates.reading import GateReading


def gate_value(gate: GateReading) -> str:
    """What was held against the bound, with its unit."""
    if math.isnan(gate.value):
        return "not measured"
    if gate.times:
        return f"{number(gate.value)} times"
    if gate.gate.form == "difference":
        return f"{_points(gate.value)} points" if gate.unit == "share" else f"{number(gate.value + 0.0)} {gate.unit}"
    return valued(gate.value, gate.unit) + (" nat/token" if gate.unit == "nat/token" else "")


def gate_interval(gate: GateReading) -> str:
    """Its interval, in the same unit."""
    if gate.gate.form == "difference" and gate.unit == "share" and not math.isnan(gate.low):
        return f"{_points(gate.low)} to {_points(gate.high)}"
    return interval(gate.low, gate.high, "" if gate.times else gate.unit)


def gate_sentence(gate: GateReading) -> str:
    """``kl_ref_cand<=0.02: 0.031 nat/token (interval 0.027 to 0.036)``, with what would decide."""
    if math.isnan(gate.value):
        return f"{gate.gate.text} could not be measured ({gate.note})"
    against = ""
    if gate.against:
        against = f" that of {gate.against}" if gate.times else f" from {gate.against}"
    what = "KL is " if gate.gate.key == BITS else ""
    said = f"{gate.gate.text}: {what}{gate_value(gate)}{against} (interval {gate_interval(gate)})"
    if gate.status != "undecided":
        return said
    if gate.more:
        return f"{said}, about {gate.more:,} more documents would decide"
    return f"{said}, {gate.note}" if gate.note else said


def _points(share: float) -> str:
    """A difference of shares in percentage points."""
    return f"{100 * share + 0.0:+.3g}"
