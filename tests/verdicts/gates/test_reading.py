"""The three-way reading of gates, alone and together."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.comparisons.distributions.band import against_band
from harness.comparisons.distributions.documents import DocumentSums
from harness.verdicts.gates.policy import policy_of
from harness.verdicts.gates.reading import Yard, read_policy
from tests.support.baselines import baseline_of
from tests.support.tables import drawn, table_of


def read(yard, *gates, alpha=0.025):
    return read_policy(policy_of(list(gates), alpha=alpha), yard, frozen=True)


@pytest.fixture(scope="module")
def documents():
    return drawn(np.random.default_rng(1), 40)


@pytest.fixture(scope="module")
def yard(documents):
    """A candidate, a band at a fifth of it, a ladder around it, and itself as baseline."""
    table = table_of(documents)
    part = dict(list(documents.items())[:20])
    band = {
        "bf16": table_of({k: v / 5 for k, v in documents.items()}),
        "batch": table_of({k: v / 9 for k, v in part.items()}),
    }
    rungs = {3.0: table_of({k: v * 4 for k, v in part.items()}), 4.0: table_of(part),
             5.0: table_of({k: v / 4 for k, v in part.items()})}  # fmt: skip
    return Yard(table, band, rungs, baseline_of(table))


@pytest.mark.parametrize(
    ("factor", "status"), [(1.6, "passed"), (0.6, "failed"), (1.02, "undecided"), (0.98, "undecided")]
)
def test_a_gate_is_an_equivalence_test(yard, factor, status):
    """The whole interval must lie on one side of the bound."""
    value = DocumentSums.of(yard.table).kl.mean
    (gate,) = read(yard, f"kl_ref_cand<={value * factor}").gates
    assert gate.status == status
    assert (gate.needed > gate.documents) == (status == "undecided")
    # The loss grows by as much here, and may be bounded on either side.
    mirrored = {"passed": "failed", "failed": "passed"}.get(status, status)
    assert read(yard, f"delta_nll>={value * factor}").gates[0].status == mirrored


@pytest.mark.parametrize(
    ("gate", "status", "value"),
    [
        ("kl_ref_cand<=5.01x band", "passed", 5.0),
        ("kl_ref_cand<=4.9x band", "failed", 5.0),
        ("kl_ref_cand<=1x baseline", "passed", 1.0),
        ("kl_ref_cand<=0.99x baseline", "failed", 1.0),
        ("delta_nll<=baseline", "passed", 0.0),
        ("ear>=baseline-1%", "passed", 0.0),
        ("top1_agreement>=baseline-1%", "passed", 0.0),
        ("bits>=3.99", "passed", 4**-0.01),
        ("bits>=4.05", "failed", 4**0.05),
        ("bits>=3", "passed", 0.25),
        ("bits>=5", "failed", 4.0),
    ],
)
def test_yardsticks_are_paired_by_document(yard, gate, status, value):
    """Candidate and yardstick differ by a constant factor here: what documents share cancels, and nothing is undecided."""
    (reading,) = read(yard, gate).gates
    assert reading.status == status
    assert reading.value == pytest.approx(value, rel=1e-4, abs=1e-9)


def test_what_was_not_measured_is_undecided_and_says_why(yard):
    """No band, no ladder, no baseline, bits beyond the ladder: never passed."""
    bare = Yard(yard.table)
    for gate, said in (("kl_ref_cand<=2x band", "band"), ("bits>=4", "ladder"), ("ear>=baseline-1%", "baseline")):
        (reading,) = read(bare, gate).gates
        assert reading.status == "undecided"
        assert said in reading.note
        assert math.isnan(reading.value)
    assert "3 to 5" in read(yard, "bits>=7").gates[0].note


def test_a_perfect_candidate_passes_its_gate():
    """Zero on every token is inside any bound; counted shares without events are bounded by the rule of three."""
    table = table_of({f"d{g}": np.zeros(50) for g in range(44)})
    yard = Yard(table, {"bf16": table_of({f"d{g}": np.full(50, 1e-6) for g in range(44)})})
    assert read(yard, "kl_ref_cand<=0.02").status == "passed"
    assert read(yard, "ear>=99.9%").status == "passed"
    assert read(yard, "kl_ref_cand<=2x band").status == "passed"
    assert read(yard, "top1_agreement>=99.99%").status == "passed"
    near = Yard(table_of({f"d{g}": np.full(50, 1e-3) for g in range(44)}))
    assert read(near, "top1_agreement>=90%").status == "passed"
    (gate,) = read(near, "top1_agreement>=99%").gates
    assert gate.status == "undecided"
    assert gate.needed == 368


def test_one_document_decides_nothing():
    """There is no error without a second one."""
    yard = Yard(table_of({"only": np.full(100, 0.01)}))
    assert read(yard, "kl_ref_cand<=10").status == "undecided"
    assert read(yard, "kl_ref_cand<=0.001").status == "undecided"
    rng = np.random.default_rng(3)
    alone = Yard(table_of({"only": rng.exponential(0.1, 500)}))
    assert {read(alone, gate).status for gate in ("kl_p50<=9", "kl_p90<=0.001", "ear>=1%")} == {"undecided"}


def test_the_band_of_a_part_does_not_clear_the_rest(documents):
    """A candidate that is fine where the band was measured and far off elsewhere is not inside."""
    part = list(documents)[:20]
    bad = table_of({k: v * (1 if k in part else 40) for k, v in documents.items()})
    (reading,) = read(Yard(bad, {"bf16": table_of({k: documents[k] for k in part})}), "kl_ref_cand<=2x band").gates
    assert reading.status == "undecided"
    assert "was not measured" in reading.note


def test_documents_that_came_out_otherwise_are_left_out_and_told(yard):
    """A sampled reply that differs on this machine cannot be paired."""
    other = yard.baseline.documents["doc-000"].model_copy(update={"ids": "other"})
    baseline = yard.baseline.model_copy(update={"documents": yard.baseline.documents | {"doc-000": other}})
    (gate,) = read(Yard(yard.table, baseline=baseline), "kl_ref_cand<=1.05x baseline").gates
    assert (gate.status, gate.documents) == ("passed", 39)
    assert "1 documents" in gate.note


def moved(yard, count):
    """The yard's baseline with other ids in its first documents."""
    documents = dict(yard.baseline.documents)
    for key in list(documents)[:count]:
        documents[key] = documents[key].model_copy(update={"ids": "other"})
    return yard.baseline.model_copy(update={"documents": documents})


def test_nothing_passes_where_much_has_no_pair(yard, documents):
    """A fifth without a pair is undecided, however good the rest; and so is a pass whose unpaired documents got worse."""
    (gate,) = read(Yard(yard.table, baseline=moved(yard, 10)), "kl_ref_cand<=1.1x baseline").gates
    assert gate.status == "undecided"
    assert "30 of 40" in gate.note
    worse = table_of({key: v * (30 if key < "doc-006" else 1) for key, v in documents.items()})
    (gate,) = read(Yard(worse, baseline=moved(yard, 6)), "kl_ref_cand<=1.1x baseline").gates
    assert gate.status == "undecided"
    assert "moved further" in gate.note


def test_a_band_that_nothing_varied_in_clears_no_other_documents(documents):
    """Zero flips in the band's member is a fact about its own documents; a candidate that flips elsewhere is not inside."""
    part = list(documents)[:20]
    table = table_of(documents)
    rows = table.rows.copy()
    rows["agree"] = np.array([table.units[c] in part for c in table.cluster])
    bad = type(table)(rows, table.owner, table.cluster, table.sequences, table.units)
    (gate,) = read(Yard(bad, {"bf16": table_of({k: documents[k] / 9 for k in part})}), "confident_flips<=band+3%").gates
    assert gate.status == "undecided"


def test_broken_logits_pass_no_gate(documents):
    """Tokens that a mean leaves out are not inside any bound."""
    table = table_of(documents)
    rows = table.rows.copy()
    rows["flags"][::3] = 2
    rows["kl_ref_cand"][::3] = np.inf
    broken = type(table)(rows, table.owner, table.cluster, table.sequences, table.units)
    (gate,) = read(Yard(broken), "kl_ref_cand<=9").gates
    assert gate.status == "undecided"
    assert "finite" in gate.note


def test_the_same_model_on_another_machine_passes(yard, documents):
    """Divergences that agree to the fourth digit in every document are one model: no flip is bounded by the rule of three."""
    rng = np.random.default_rng(4)
    again = table_of({key: v * (1 + 1e-5 * rng.normal(size=len(v))) for key, v in documents.items()})
    for gate in ("top1_agreement>=baseline-1%", "kl_ref_cand<=1.1x baseline", "ear>=baseline-0.1%"):
        assert read(Yard(again, baseline=yard.baseline), gate).status == "passed"


@pytest.mark.slow
def test_rare_flips_in_few_documents_do_not_pass_too_often():
    """True rate 1 %, all of it in a tenth of the documents, bound just missed: passes are those of a 2.5 % test, or fewer."""
    from scipy.stats import binom

    rng = np.random.default_rng(20261128)
    passes = failures = 0
    for _ in range(400):
        quiet = table_of({f"d{g}": np.full(50, 0.01) for g in range(44)})
        rows = quiet.rows.copy()
        loud = rng.random(44) < 0.1
        rows["agree"] = ~(loud[quiet.cluster] & (rng.random(len(rows)) < 0.1))
        table = type(quiet)(rows, quiet.owner, quiet.cluster, quiet.sequences, quiet.units)
        status = read(Yard(table), "confident_flips<=0.99%").status
        passes, failures = passes + (status == "passed"), failures + (status == "failed")
    assert failures <= binom.ppf(1 - 1e-4, 400, 0.025)
    assert passes <= binom.ppf(1 - 1e-4, 400, 0.05)


def test_a_policy_fails_candidates_at_its_bounds_at_most_alpha():
    """Null: every number is exactly at its bound. 1,000 draws of 24 documents; exact binomial bound at 1e-4."""
    from scipy.stats import binom

    rng = np.random.default_rng(20261127)
    bound = 0.05
    failures = passes = 0
    for _ in range(1000):
        yard = Yard(table_of(drawn(rng, 24, bound, tokens=20)))
        status = read(yard, f"kl_ref_cand<={bound}", f"delta_nll<={bound}", f"kl_cand_ref<={bound}").status
        failures += status == "failed"
        passes += status == "passed"
    assert failures <= binom.ppf(1 - 1e-4, 1000, 0.025)
    assert passes < 120  # all three bounds are the same number here, so passes are those of one gate


def test_more_gates_are_harder_to_fail_each_and_as_hard_to_pass(yard):
    """Failing pays for the number of gates; passing needs them all and pays nothing."""
    (alone,) = read(yard, "kl_ref_cand<=1").gates
    together = read(yard, "kl_ref_cand<=1", "js<=1", "ear>=1%").gates[0]
    assert (alone.low, alone.high) == (together.low, together.high)
    assert alone.fail_low > together.fail_low


def test_what_lies_just_outside_is_undecided_and_says_so(yard):
    """Outside by the interval that is shown, but not by the wider one that a failure needs: no accusation."""
    (shown,) = read(yard, "kl_ref_cand<=1").gates
    assert shown.fail_low < shown.low
    (gate,) = read(yard, f"kl_ref_cand<={(shown.fail_low + shown.low) / 2}").gates
    assert gate.status == "undecided"
    assert "wider interval" in gate.note
    assert gate.more >= 1
    (gate,) = read(yard, f"kl_ref_cand<={shown.fail_low * 0.999}").gates
    assert gate.status == "failed"


def test_a_multiple_of_the_band_is_failed_by_a_wider_interval_than_one_of_a_baseline(documents):
    """The same rows as band and as baseline: by the band a document that was not drawn is allowed for, as BEYOND does."""
    honest = table_of(drawn(np.random.default_rng(2), 40))
    yard = Yard(table_of(documents), {"bf16": honest}, baseline=baseline_of(honest))
    (band,), (baseline,) = (read(yard, f"kl_ref_cand<=1x {name}").gates for name in ("band", "baseline"))
    assert (band.value, band.low, band.high) == pytest.approx((baseline.value, baseline.low, baseline.high), rel=1e-4)
    assert band.fail_low < 0.98 * baseline.fail_low
    verdict = against_band(yard.table, yard.honest)
    assert verdict.fail_low == pytest.approx(band.fail_low, rel=1e-6)
