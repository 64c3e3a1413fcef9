"""Vendors' scorecards recomputed from their own committed files: the published means exactly, and what they hide."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from statsmodels.stats.proportion import proportion_confint

from harness.comparisons.vendor_scores import vendor_facts
from harness.evidence.shares import wilson
from harness.observations.vendor_files import read_vendor_files
from harness.suites.vendor import Tally, VendorLoop, VendorRow

OFFICIAL = Path(__file__).parents[1] / "data" / "minimax-official-loops.json"


@pytest.fixture(scope="module")
def official():
    return vendor_facts(read_vendor_files([("", OFFICIAL)]))


@pytest.mark.parametrize(
    ("model", "match", "schema", "language"),
    [("MiniMax-M2.5", 98.30, 98.57, 85.0), ("MiniMax-M2.7", 98.80, 99.76, 75.0), ("MiniMax-M3", 98.80, 98.93, 100.0)],
)
def test_the_published_means_are_derived_exactly(official, model, match, schema, language):
    """From the 30 official passes; every rate gets the interval that the vendor does not print."""
    facts = next(one for one in official.models if one.model == model)
    rates = {rate.metric: rate for rate in facts.rates}
    assert facts.loops == 10
    for metric, published in (("match", match), ("schema", schema), ("language", language)):
        assert round(100 * rates[metric].mean, 2) == published
        assert rates[metric].low < rates[metric].mean < rates[metric].high or language == 100.0
    assert rates["match"].ceiling == 0.99  # one labelled row is never judged
    assert rates["match"].meets == "undecided"
    assert rates["success"].meets == "undecided"  # nobody can prove 100 %


def test_metrics_that_cannot_fail_on_the_official_passes_are_listed(official):
    """Three of six were never anything but perfect, for any of three models."""
    assert {one.metric for one in official.vacuous} == {"success", "not error-only", "scenario"}


def test_numbers_of_calls_tell_the_three_models_apart_where_trigger_similarity_does_not(official):
    """Another model of the family passes as the official one by the vendor's threshold; its tool calls give it away."""
    assert len(official.similarities) == 3
    assert all(pair.passes and pair.low > 0.99 for pair in official.similarities)
    calls = [one for one in official.separations if one.statistic == "tool calls per pass"]
    assert [f"{one.p:.1e}" for one in calls] == ["1.1e-05", "1.1e-05", "9.9e-04"]
    assert all(one.exact and one.adjusted < 0.01 for one in calls)
    match = [one for one in official.separations if one.statistic == "match"]
    assert min(one.p for one in match) > 0.4


@pytest.mark.parametrize(("right", "of"), [(0, 5), (5, 5), (17, 20), (828, 840)])
def test_intervals_are_wilsons(right, of):
    """As statsmodels computes them."""
    low, high = proportion_confint(right, of, method="wilson")
    assert wilson(right, of) == pytest.approx((low, high), abs=1e-9)


def loop(model, rows=(), **tallies):
    return VendorLoop(source="x", form="minimax", model=model, rows=rows, positives=sum(r.finish == "tool_calls" for r in rows),
                      tallies={name: Tally(right=right, of=of, most=of) for name, (right, of) in tallies.items()})  # fmt: skip


def row(item, finish, **changes):
    return VendorRow(**({"item": item, "finish": finish, "calls": 1, "valid": True, "expected": True} | changes))


def test_rows_are_held_against_each_other_by_item():
    """In whatever order they lie; failed rows are no answer of "no call"."""
    ours = loop(
        "a", (row("1", "tool_calls"), row("2", "stop"), row("3", "tool_calls"), row("4", "tool_calls")), success=(4, 4)
    )
    theirs = loop(
        "b", (row("3", "stop"), row("2", "stop"), row("1", "tool_calls"), row("4", "", failed="no")), success=(3, 4)
    )
    (pair,) = vendor_facts([ours, theirs]).similarities
    assert pair.low == pair.high == pytest.approx(2 * 1 / 3)
    assert pair.p == 1.0


def test_files_of_different_verifiers_and_questions_are_not_held_against_each_other():
    """Other prompts under the same numbers say nothing of each other."""
    ours = loop("a", (row("1", "tool_calls", prompt="x"),), success=(1, 1))
    theirs = loop("b", (row("1", "stop", prompt="y"),), success=(0, 1))
    assert vendor_facts([ours, theirs]).similarities == ()
    other = theirs.model_copy(update={"form": "k2"})
    facts = vendor_facts([ours, other])
    assert (facts.similarities, facts.separations) == ((), ())
    assert [model.form for model in facts.models] == ["minimax", "k2"]


def test_a_field_that_the_verifier_does_not_read_makes_its_count_vacuous():
    """Hosts that send reasoning_content cannot be found by a verifier that reads reasoning."""
    rows = (row("1", "stop", reasoning=("reasoning_content",), reasoning_only=True), row("2", "stop"))
    facts = vendor_facts([loop("a", rows, **{"not error-only": (1, 2)})])
    assert [one.metric for one in facts.vacuous] == ["not error-only"]
    assert facts.models[0].reasoning == {"reasoning_content": 1, "none": 1}


def test_the_data_names_its_source_and_licence():
    """It is somebody else's, under MIT."""
    stored = json.loads(OFFICIAL.read_text(encoding="utf-8"))
    assert stored["licence"] == "MIT"
    assert "MiniMax" in stored["copyright"]
