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
from harness.verdicts.gates.policy import policy_of
from harness.verdicts.gates.reading import GateReading, PolicyReading
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
    assert verdict(weights=weights("cast"), band=band(*reading))[0] is outcome


def test_an_accusation_needs_the_wider_interval():
    """Above the margin by the 95 % interval alone is undecided, and says why and how many documents would decide."""
    found, _ = decide(evidence(weights=weights("cast"), band=band(2.01, 2.5, 3.0, fail_low=1.95)))
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "wider interval" in found.sentence
    assert "documents in place of 20" in found.sentence


def test_an_undecided_run_prints_what_it_could_have_found():
    """INCONCLUSIVE carries the smallest detectable ratio and the number of documents that would decide."""
    found, _ = decide(evidence(weights=weights("cast"), band=band(1.5, 2.2, 2.6)))
    assert "80 % power" in found.sentence
    assert "documents" in found.sentence


@pytest.mark.parametrize("reading", [(0.8, 1.0, 1.2), (1.5, 2.0, 2.6)])
def test_fewer_bits_than_claimed_are_beyond_whatever_they_move(reading):
    """Every changed matrix on a 4-bit grid is no bf16, however little it shows; under a claim of 4 bits it is nothing."""
    found, findings = decide(evidence(claim="bf16", band=band(*reading)))
    assert (found.outcome, found.cause) == (Outcome.BEYOND, Cause.QUANTIZATION)
    assert "which such a claim rules out" in found.sentence
    assert "DIST301" not in {finding.code for finding in findings}
    assert verdict(claim="int4g64", band=band(*reading))[0] is not Outcome.BEYOND
    assert verdict(weights=weights().model_copy(update={"on_grid": 6}), band=band(*reading))[0] is not Outcome.BEYOND


def test_a_pass_states_its_power():
    """WITHIN says which ratio would have been found."""
    found, _ = decide(evidence(weights=weights("cast"), band=band(0.8, 1.0, 1.2)))
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
    """Weights moved in few directions are another model where it matters; in no known way, unlisted; noise elsewhere."""
    assert verdict(weights=weights("moved", few_directions=True)) == (Outcome.BEYOND, Cause.OTHER_MODEL)
    assert verdict(weights=weights("moved")) == (Outcome.BEYOND, Cause.UNLISTED)
    assert verdict(weights=weights("moved"), band=band(0.9, 1.0, 1.1)) == (Outcome.WITHIN, None)


@pytest.mark.parametrize("kind", ["unrelated", "moved", "damaged", "scaled", "permuted"])
def test_function_is_judged_before_names(kind):
    """Rotated, rescaled or reordered weights that compute the claim are told as a fact and accuse nobody."""
    found, findings = decide(evidence(weights=weights(kind), band=band(0.9, 1.0, 1.1)))
    assert found.outcome is Outcome.WITHIN
    assert "FILE204" in {finding.code for finding in findings}
    found, _ = decide(evidence(weights=weights(kind), all_zero=True))
    assert found.outcome is Outcome.WITHIN


def test_a_lax_gate_makes_no_other_model_the_same():
    """A policy that anything passes says nothing of whose weights these are."""
    policy = policy_of(["kl_ref_cand<=10"])
    gate = GateReading(
        gate=policy.gates[0], status="passed", value=1, low=0.9, high=1.1, fail_low=0.8, fail_high=1.2, unit="nat", against="",
        documents=20, needed=0, note="",
    )  # fmt: skip
    passed = PolicyReading(policy=policy, gates=(gate,), frozen=True)
    assert verdict(weights=weights("unrelated"), policy=passed) == (Outcome.BEYOND, Cause.OTHER_MODEL)


def test_foreign_weights_whose_distribution_was_not_compared_are_another_model():
    """Without a shared vocabulary the weights speak alone."""
    found, _ = decide(evidence(weights=weights("unrelated"), unscored="other vocabulary"))
    assert found.cause is Cause.OTHER_MODEL


def test_weights_on_a_grid_that_are_not_the_references_rounded_are_not_cleared():
    """An edit may hide in the rounding; only where errors are fed back on purpose does the size decide."""
    apart = weights(rounded=5, not_rounded=("a", "b", "c"))
    member = {"member": "claimed nf4"}
    beside = band(1.05, 1.2, 1.3).model_copy(update=member)
    assert verdict(weights=apart, claim="nf4", band=beside) == (Outcome.INCONCLUSIVE, None)
    for claim, outcome in (
        ("int4g128", Outcome.WITHIN),
        ("gguf:Q4_K_M", Outcome.WITHIN),
        ("gguf:Q8_0", Outcome.INCONCLUSIVE),
    ):
        near = band(0.8, 0.9, 1.0).model_copy(update={"member": f"claimed {claim}"})
        assert verdict(weights=apart, claim=claim, band=near)[0] is outcome
    exact = band(1.0, 1.0, 1.0).model_copy(update={"member": "claimed gguf:Q8_0"})
    assert verdict(weights=apart, claim="gguf:Q8_0", band=exact) == (Outcome.WITHIN, None)
    far = band(1.1, 1.2, 1.3).model_copy(update={"member": "claimed int4g128"})
    assert verdict(weights=apart, claim="int4g128", band=far) == (Outcome.INCONCLUSIVE, None)
    assert verdict(weights=weights(rounded=8), claim="nf4", band=beside) == (Outcome.WITHIN, None)


def test_a_grid_that_explains_the_distance_outranks_a_configuration_difference():
    """Weights on 4 bits at the distance that 4 bits give are quantized, whatever a field of the configuration says."""
    other = (Difference(field="config.rms_norm_eps", reference="1e-5", candidate="1e-6"),)
    rungs = ((3.0, 0.9), (4.0, 0.2), (8.0, 0.001))
    ladder = {"bits": 4.0, "low": 3.9, "high": 4.1, "rungs": rungs, "note": ""}
    assert verdict(differences=other, ladder=ladder | {"value": 0.3})[1] is Cause.QUANTIZATION
    assert verdict(differences=other, ladder=ladder | {"value": 3.0})[1] is Cause.NUMERICS


def test_a_configuration_difference_without_effect_does_not_deny_a_pass():
    """A field that had its chance to show on these items and did not is a finding."""
    other = (Difference(field="config.rms_norm_eps", reference="1e-5", candidate="1e-6"),)
    found, findings = decide(evidence(differences=other, weights=weights("equal"), band=band(0.9, 1.0, 1.1)))
    assert found.outcome is Outcome.WITHIN
    assert "FILE101" in {finding.code for finding in findings}


def test_declared_rounding_on_no_known_grid_is_quantization():
    """A file that declares 8 bits and moved no further than 8 bits move is quantized, not another model."""
    assert verdict(weights=weights("moved"), declared_quantization=True, declared="int4g128")[1] is Cause.QUANTIZATION
    assert verdict(weights=weights("moved"), declared_quantization=True, declared="int8")[1] is Cause.UNLISTED


def test_weights_on_no_known_grid_do_not_accuse_where_nothing_was_decided():
    """An undecided or untestable displacement leaves identity undecided; a passed gate clears it."""
    assert verdict(weights=weights("moved"), band=band(1.5, 2.0, 2.6))[0] is Outcome.INCONCLUSIVE
    assert verdict(weights=weights("moved"), band=None)[0] is Outcome.INCONCLUSIVE


def test_items_without_a_band_can_still_stop_a_pass():
    """A candidate that is fine on the band's items and far off on the others is not WITHIN."""
    hidden = band(0.9, 1.0, 1.1).model_copy(update={"rest_low": 0.5, "limit": 0.01})
    assert verdict(weights=weights("cast"), band=hidden)[0] is Outcome.INCONCLUSIVE


def test_a_configuration_that_was_not_exercised_is_never_within():
    """A sliding window that these items are too short to show leaves the verdict open; one that they fill does not."""
    other = (Difference(field="config.sliding_window", reference="null", candidate="1024"),)
    same = {"differences": other, "all_zero": True, "weights": weights("equal")}
    assert verdict(**same, longest=900)[0] is Outcome.INCONCLUSIVE
    assert verdict(**same, longest=1100)[0] is Outcome.WITHIN


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
