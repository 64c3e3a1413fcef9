"""Gates: parsing and the three-way reading."""

from __future__ import annotations

import pytest

from harness.comparisons.model import CheckResult
from harness.errors import UsageError
from harness.verdicts.gates import parse_gate, read_gate

KNOWN = ["kl_ref_cand", "ear"]


def check(key, low, value, high):
    return CheckResult(
        key=key, title="", unit="", better="lower", value=value, low=low, high=high, floor=float("nan"), tokens=10,
        clusters=5, design_effect=1.0, note="",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "low", "high", "side"),
    [
        ("kl_ref_cand<=0.3", 0.1, 0.2, "inside"),
        ("kl_ref_cand <= 0.05", 0.1, 0.2, "outside"),
        ("kl_ref_cand<=1.5e-1", 0.1, 0.2, "inconclusive"),
        ("ear>=0.9", 0.95, 0.97, "inside"),
        ("ear>=0.99", 0.95, 0.97, "outside"),
        ("ear>=0.96", 0.95, 0.97, "inconclusive"),
    ],
)
def test_a_gate_is_an_equivalence_test(text, low, high, side):
    """The whole interval must lie on one side; upper and lower bounds mirror each other."""
    gate = parse_gate(text, KNOWN)
    assert read_gate(gate, [check(gate.key, low, (low + high) / 2, high)]).side == side


@pytest.mark.parametrize("text", ["kl_ref_cand", "kl_ref_cand<0.1", "kl_ref_cnd<=0.1", "kl_ref_cand<=--1"])
def test_bad_gates_are_usage_errors(text):
    """Nothing is guessed."""
    with pytest.raises(UsageError):
        parse_gate(text, KNOWN)


def test_a_misspelt_metric_gets_a_suggestion():
    """did you mean."""
    with pytest.raises(UsageError) as caught:
        parse_gate("kl_ref_cnd<=0.1", KNOWN)
    assert "'kl_ref_cand'" in caught.value.fix


def test_a_perfect_candidate_passes_its_gate():
    """Zero on every token is inside any bound; a share without events is bounded by the rule of three."""
    nan = float("nan")
    perfect = check("kl_ref_cand", nan, 0.0, nan).model_copy(update={"note": "no variation: no interval"})
    assert read_gate(parse_gate("kl_ref_cand<=0.02", KNOWN), [perfect]).side == "inside"
    shares = check("ear", nan, 1.0, nan).model_copy(
        update={"note": "no variation: no interval", "unit": "share", "clusters": 44}
    )
    assert read_gate(parse_gate("ear>=0.9", KNOWN), [shares]).side == "inside"
    assert read_gate(parse_gate("ear>=0.99", KNOWN), [shares]).side == "inconclusive"
