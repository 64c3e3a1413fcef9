"""Verdicts from made-up evidence: every axis, every outcome, and the rule that joins them."""

from __future__ import annotations

import pytest

from harness.comparisons.distributions.band import BandReading
from harness.comparisons.distributions.scalar import ScalarFit
from harness.comparisons.model import Difference
from harness.comparisons.prompts import PromptDifference, PromptReading
from harness.comparisons.weights import WeightReading
from harness.verdicts.decide import decide
from harness.verdicts.evidence import CandidateEvidence
from harness.verdicts.model import Cause, Outcome, exit_code, worst


def weights(kind="grid", **changes):
    return WeightReading(
        kind=kind, tensors=10, equal=2, changed_matrices=8, on_grid=8, grid="4-bit", sqnr_db=20.0, examples=("w",),
        **changes,
    )  # fmt: skip


def band(low, ratio, high, fail_low=None):
    near = low if fail_low is None else fail_low
    return BandReading(
        member="bf16", ratio=ratio, low=low, high=high, fail_low=near, se=0.1, tokens=1000, clusters=20, note="", rest_low=0.0,
        limit=0.01,
    )  # fmt: skip


def evidence(**changes):
    base = {
        "label": "x", "spec": "x", "claim": "bf16", "claim_source": "test", "claim_problem": "",
        "declared_quantization": False, "differences": (), "prompts": PromptReading(texts=5, chats=2, differing=()),
        "weights": weights(), "checks": (), "slices": (), "scalar": None, "band": band(10, 12, 15), "honest": (),
        "ladder": None, "policy": None, "worst": (), "histogram": (), "tokens": 1000, "documents": 20, "non_finite": 0,
        "violations": 0, "violated_mass": 0.0, "padded_mass": 0.0, "all_zero": False,
    }  # fmt: skip
    return CandidateEvidence.model_validate(base | changes)


def verdict(**changes):
    found, _ = decide(evidence(**changes))
    return found.outcome, found.cause


def test_far_beyond_the_band_with_a_grid_is_quantization():
    """Positive evidence of a grid names quantization."""
    assert verdict() == (Outcome.BEYOND, Cause.QUANTIZATION)


def test_without_positive_evidence_quantization_is_not_named():
    """Unknown weights and no declaration: unlisted, not quantization."""
    assert verdict(weights=weights("unknown")) == (Outcome.BEYOND, Cause.UNLISTED)
    assert verdict(weights=weights("unknown"), declared_quantization=True) == (Outcome.BEYOND, Cause.QUANTIZATION)


@pytest.mark.parametrize(
    ("reading", "outcome"),
    [
        ((0.8, 1.0, 1.2), Outcome.WITHIN),
        ((1.0, 1.5, 2.0), Outcome.WITHIN),
        ((1.5, 2.0, 2.6), Outcome.INCONCLUSIVE),
        ((2.01, 2.5, 3.0), Outcome.BEYOND),
    ],
)
def test_the_margin_is_twice_the_band(reading, outcome):
    """At most twice is within, more than twice is beyond, and an interval across the margin is undecided."""
    assert verdict(band=band(*reading))[0] is outcome


def test_an_accusation_needs_the_wider_interval():
    """Above the margin by the 95 % interval alone is undecided, and says why and how many documents would decide."""
    found, _ = decide(evidence(band=band(2.01, 2.5, 3.0, fail_low=1.95)))
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "wider interval" in found.sentence
    assert "documents in place of 20" in found.sentence


def test_an_undecided_run_prints_what_it_could_have_found():
    """INCONCLUSIVE carries the smallest detectable ratio and the number of documents that would decide."""
    found, _ = decide(evidence(band=band(1.5, 2.2, 2.6)))
    assert "80 % power" in found.sentence
    assert "documents" in found.sentence


def test_a_pass_states_its_power():
    """WITHIN says which ratio would have been found."""
    found, _ = decide(evidence(band=band(0.8, 1.0, 1.2)))
    assert "80 % power" in found.sentence


def test_nothing_measured_is_never_within():
    """No band and no gate, an unscored candidate, or a claim that cannot be rebuilt: NOT_TESTABLE."""
    for changes in ({"band": None}, {"unscored": "other vocabulary"}, {"claim_problem": "cannot be rebuilt"}):
        found, _ = decide(evidence(weights=weights("equal"), **changes))
        assert found.outcome is Outcome.NOT_TESTABLE


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"violations": 3}, Cause.NUMERICS),
        ({"non_finite": 1}, Cause.NUMERICS),
        ({"weights": weights("permuted")}, Cause.TOKENIZER),
        ({"weights": weights("damaged")}, Cause.NUMERICS),
        ({"weights": weights("scaled")}, Cause.NUMERICS),
        ({"differences": (Difference(field="config.rope_parameters", reference="1", candidate="2"),)}, Cause.NUMERICS),
        (
            {"weights": weights("unknown"), "scalar": ScalarFit(tau=1.2, share=0.9, low=0.8, high=1, tokens=9)},
            Cause.UNLISTED,
        ),
    ],
)
def test_causes_from_specific_to_general(changes, cause):
    """Each pattern names its own cause; a scalar needs a divergence that was measured."""
    assert verdict(**changes) == (Outcome.BEYOND, cause)


def test_moved_weights_are_another_model_only_beyond_the_band():
    """Trained weights are another model where they matter, and noise where they do not."""
    assert verdict(weights=weights("moved")) == (Outcome.BEYOND, Cause.OTHER_MODEL)
    assert verdict(weights=weights("moved"), band=band(0.9, 1.0, 1.1)) == (Outcome.WITHIN, None)
    assert verdict(weights=weights("unrelated"), band=band(0.9, 1.0, 1.1))[0] is Outcome.BEYOND


def test_weights_on_no_known_grid_do_not_accuse_where_nothing_was_decided():
    """An undecided or untestable displacement leaves identity undecided; a passed gate clears it."""
    assert verdict(weights=weights("moved"), band=band(1.5, 2.0, 2.6))[0] is Outcome.INCONCLUSIVE
    assert verdict(weights=weights("moved"), band=None)[0] is Outcome.INCONCLUSIVE


def test_items_without_a_band_can_still_stop_a_pass():
    """A candidate that is fine on the band's items and far off on the others is not WITHIN."""
    hidden = band(0.9, 1.0, 1.1).model_copy(update={"rest_low": 0.5, "limit": 0.01})
    assert verdict(band=hidden)[0] is Outcome.INCONCLUSIVE


def test_another_configuration_is_never_within():
    """A sliding window that these items are too short to show leaves the verdict open."""
    other = (Difference(field="config.sliding_window", reference="null", candidate="1024"),)
    assert verdict(differences=other, all_zero=True, weights=weights("equal"))[0] is Outcome.INCONCLUSIVE


def test_a_template_fault_leads_and_quantization_is_mentioned():
    """The lowest layer's fault is the cause; the higher one is still told."""
    part = PromptDifference(
        item="c", kind="chat", position=3, reference_ids=(1,), candidate_ids=(2,), reference_text="", candidate_text=""
    )
    found, findings = decide(evidence(prompts=PromptReading(texts=5, chats=2, differing=(part,))))
    assert found.cause is Cause.TEMPLATE
    assert "quantization" in found.sentence
    assert "TMPL102" in {finding.code for finding in findings}


def test_exit_codes_come_from_outcomes_alone():
    """0 within, 1 beyond, 3 undecided or untestable; the worst decides; nothing at all is not a pass."""
    assert [exit_code(o) for o in (Outcome.WITHIN, Outcome.BEYOND, Outcome.INCONCLUSIVE, Outcome.NOT_TESTABLE)] == [
        0, 1, 3, 3,
    ]  # fmt: skip
    assert worst([Outcome.WITHIN, Outcome.NOT_TESTABLE, Outcome.NOT_RUN]) is Outcome.NOT_TESTABLE
    assert worst([Outcome.INCONCLUSIVE, Outcome.BEYOND]) is Outcome.BEYOND
    assert worst([Outcome.NOT_RUN]) is Outcome.NOT_TESTABLE
