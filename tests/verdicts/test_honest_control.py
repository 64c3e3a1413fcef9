"""What an honest control that does not stand takes back, and what it leaves."""

from __future__ import annotations

import pytest

from harness.comparisons.audit import weigh_replies
from harness.comparisons.controls import Control, accusing_axes, host_facts
from harness.verdicts.audit import controlled_below, judge_replies
from harness.verdicts.model import AxisVerdict
from tests.support.evidence import evidence_of
from tests.support.worlds import make_world

WORLD = make_world(contexts=30)
HOST = Control(name="honest host: h", role="honest")
TEMPLATE = AxisVerdict(axis="integrity", outcome="BEYOND", cause="template", reason="other prompts")


@pytest.fixture(scope="module")
def facts():
    """Facts of small audits, by what was served and whether log-probabilities were told."""

    def weighed(server, *, told=True, length=16):
        served = WORLD.distribution(server)
        rows = evidence_of(WORLD, served, ("a", "b"), ("p", "h"), 24, length, 1, told=served if told else None)
        return weigh_replies(rows, ("p", "h"), {"a": "quantization", "b": "quantization"}, ("a",), (), 0.01, 1)

    return {"honest": weighed("p"), "bad": weighed("b"), "silent": weighed("p", told=False)}


def control_of(facts, untestable="", candidate=None):
    return host_facts(HOST, facts, untestable, candidate)


def test_whatever_accuses_the_vouched_host_accuses_nobody(facts):
    """The same crossing on both: nothing is said of the candidate."""
    assert control_of(facts["honest"], candidate=facts["bad"]).sound
    bad = control_of(facts["bad"], candidate=facts["bad"])
    assert not bad.sound
    axes = judge_replies(facts["bad"], controls=(bad,))
    assert {axis.outcome for axis in axes} == {"INCONCLUSIVE"}
    assert "was accused, too" in axes[0].reason
    repeated = facts["bad"].model_copy(update={"repeated": 3})
    assert judge_replies(repeated)[1].outcome == "BEYOND"
    assert {axis.outcome for axis in judge_replies(repeated, controls=(bad,))} == {"INCONCLUSIVE"}


def test_a_vouched_host_is_measured_only_by_what_accuses_the_candidate(facts):
    """One that tells no log-probabilities says nothing about those of the candidate."""
    assert "displacement" in accusing_axes(facts["bad"])
    dumb = control_of(facts["silent"], candidate=facts["bad"])
    assert not dumb.sound
    assert "no log-probabilities" in dumb.untestable
    assert control_of(facts["silent"], candidate=facts["honest"]).sound
    nothing = facts["honest"].model_copy(update={"tokens": 0})
    assert control_of(nothing).untestable
    assert control_of(None, "refused").untestable == "refused"


@pytest.mark.parametrize(
    ("changes", "prompts", "parameters"),
    [
        ({}, "BEYOND", "BEYOND"),
        ({"axis": "prompts", "found_at": 1}, "INCONCLUSIVE", "INCONCLUSIVE"),
        ({"axis": "identity", "found_at": 4}, "BEYOND", "INCONCLUSIVE"),
        ({"untestable": "refused"}, "INCONCLUSIVE", "INCONCLUSIVE"),
        (
            {"axis": "identity", "found_at": 4, "member": "bf16"},
            "BEYOND",
            "BEYOND",
        ),  # made here: says nothing of prompts
    ],
)
def test_layers_below_fall_with_what_was_measured_of_them(facts, changes, prompts, parameters):
    """Prompts where the vouched host's differ or were not compared; parameters with any accusation of it."""
    control = control_of(facts["honest"]).model_copy(update=changes)
    assert controlled_below(TEMPLATE, (control,), prompts=True).outcome == prompts
    assert controlled_below(TEMPLATE, (control,), prompts=False).outcome == parameters
    within = TEMPLATE.model_copy(update={"outcome": "WITHIN", "cause": None})
    assert controlled_below(within, (control,), prompts=True) == within
