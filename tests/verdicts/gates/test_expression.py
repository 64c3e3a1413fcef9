"""Gates as they are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.comparisons.distributions.documents import has_difference, has_ratio
from harness.comparisons.distributions.metrics import METRICS, QUANTILES
from harness.errors import UsageError
from harness.verdicts.gates.expression import Gate, parse_gate


@pytest.mark.parametrize(
    ("text", "form", "yardstick", "bound"),
    [
        ("kl_ref_cand<=0.02", "absolute", "", 0.02),
        (" kl_ref_cand <= 2e-2 ", "absolute", "", 0.02),
        ("ear>=98%", "absolute", "", 0.98),
        ("ear >= 98.5 %", "absolute", "", 0.985),
        ("bits>=4.2", "absolute", "", 4.2),
        ("kl_p99<=1", "absolute", "", 1.0),
        ("delta_nll<=-0.01", "absolute", "", -0.01),
        ("kl_ref_cand<=2x band", "ratio", "band", 2.0),
        ("kl_ref_cand<=1.1 x baseline", "ratio", "baseline", 1.1),
        ("ppl_ratio<=1.01xbaseline", "ratio", "baseline", 1.01),
        ("top1_agreement>=baseline-1%", "difference", "baseline", -0.01),
        ("ear>=band - 0.5 %", "difference", "band", -0.005),
        ("delta_nll<=baseline+0.01", "difference", "baseline", 0.01),
        ("ear>=baseline", "difference", "baseline", 0.0),
    ],
)
def test_gates_read_as_people_write_them(text, form, yardstick, bound):
    """Absolute, as a ratio and as a difference, with or without blanks and percent signs."""
    gate = parse_gate(text)
    assert (gate.form, gate.yardstick) == (form, yardstick)
    assert gate.bound == pytest.approx(bound)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kl_ref_cand", "no gate"),
        ("kl_ref_cand<0.1", "not <"),
        ("kl_ref_cand=0.1", "not ="),
        ("kl_ref_cnd<=0.1", "did you mean 'kl_ref_cand'"),
        ("KL_REF_CAND<=0.1", "did you mean 'kl_ref_cand'"),
        ("kl_ref_cand<=--1", "no bound"),
        ("kl_ref_cand<=nan", "no bound"),
        ("kl_ref_cand<=1e999", "finite"),
        ("kl_ref_cand<=2x", "no bound"),
        ("kl_ref_cand<=2x bnad", "no bound"),
        ("kl_ref_cand<=5%", "no share"),
        ("ear>=98", "between 0 and 1"),
        ("ear>=1.1x baseline", "ear>=baseline-1%"),
        ("kl_p99<=2x band", "no sums per document"),
        ("bits>=1x baseline", "no sums per document"),
        ("bits<=4", "higher is better"),
        ("ppl_ratio<=baseline+0.1", "ppl_ratio<=1.1x baseline"),
        ("kl_ref_cand<=0x band", "positive"),
        ("ear<=98%", "higher is better"),
        ("kl_ref_cand>=0.02", "lower is better"),
        ("kl_ref_cand<=-1", "never negative"),
        ("ear>=0", "cannot decide"),
        ("confident_flips<=1", "cannot decide"),
        ("top1_agreement>=baseline-1", "write baseline-1%"),
        ("confident_flips<=band+1", "write band+1%"),
        ("", "no gate"),
        ("a" * 5000 + "<=1", "no metric"),
    ],
)
def test_bad_gates_are_usage_errors_that_help(text, said):
    """Nothing is guessed, and every message says what to write."""
    with pytest.raises(UsageError) as caught:
        parse_gate(text)
    assert said in str(caught.value)


@st.composite
def gates(draw):
    """Any gate that means something."""
    key = draw(st.sampled_from([*METRICS, *QUANTILES]))
    metric = METRICS.get(key)
    forms = ["absolute"]
    if metric:
        forms += ["ratio"] * has_ratio(metric) + ["difference"] * has_difference(metric)
    form = draw(st.sampled_from(forms))
    number = st.integers(1, 999) if form != "ratio" else st.integers(1, 3000)
    bound = draw(number) / 1000
    better = metric.better if metric else "lower"
    upper = draw(st.booleans()) if better == "zero" else better == "lower"
    yardstick = "" if form == "absolute" else draw(st.sampled_from(["band", "baseline"]))
    return Gate(key=key, upper=upper, form=form, yardstick=yardstick, bound=bound)


@given(gates())
def test_a_gate_written_down_reads_back_the_same(gate):
    """``text`` is the gate."""
    again = parse_gate(gate.text)
    assert again.bound == pytest.approx(gate.bound)
    assert again.model_copy(update={"bound": gate.bound}) == gate
