"""The main job on a real 135M chat model, where every right answer is known beforehand. One run serves all tests."""

from __future__ import annotations

import os

import pytest

from harness.config import Places
from harness.observations.events import Stop
from harness.pipeline import Candidate, Request, compare
from harness.targets.spec import Runtime
from harness.verdicts.model import Cause, Outcome
from tests.support import faults
from tests.support.toy import cut_core

pytestmark = pytest.mark.slow

BUILT = {
    "scaled": faults.scaled_logits,
    "rope": faults.other_rope,
    "zeroed": faults.zeroed_layer,
    "permuted": faults.permuted_vocabulary,
    "tuned": faults.fine_tuned,
    "nf4-saved": faults.saved_nf4,
}


@pytest.fixture(scope="session")
def cards(smollm, tmp_path_factory):
    """All candidates of the issue in one run, by (label, claim)."""
    root = tmp_path_factory.mktemp("faults")
    wanted = [(str(smollm), ""), (f"dtype:bf16:{smollm}", "bf16"), (f"bnb:int8:{smollm}", "bf16")]
    wanted += [(f"bnb:nf4:{smollm}", "bf16"), (f"rtn:3:{smollm}", "bf16"), (f"rtn:4g32:{smollm}", "bf16")]
    for name, build in BUILT.items():
        wanted.append((str(build(smollm, root / name)), "" if name == "nf4-saved" else "bf16"))
    wanted.append((str(root / "nf4-saved"), "bf16"))
    request = Request(
        reference=str(smollm),
        candidates=tuple(Candidate(*pair) for pair in wanted),
        suite=str(cut_core(root / "suite", documents=10, letters=160)),
        runtime=Runtime(threads=int(os.environ.get("OMP_NUM_THREADS", "0"))),
        ladder=(8, 4, 3),
    )
    steps = compare(request, Places(root / "results", Places.default().cache), Stop())
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return {(card.evidence.label, card.evidence.claim): card for card in end.value.candidates}


def verdict(cards, label, claim="bf16"):
    found = cards[label, claim].verdict
    return found.outcome, found.cause


def test_the_reference_against_itself_is_exactly_zero_and_says_so(cards):
    """Every divergence is 0 to the last bit, the verdict is WITHIN, and DIST302 warns that nothing was quantized."""
    card = next(card for (label, claim), card in cards.items() if claim == "fp32")
    assert card.evidence.all_zero
    assert card.verdict.outcome is Outcome.WITHIN
    assert "DIST302" in {finding.code for finding in card.findings}


def test_a_grid_that_the_weights_already_lie_on_is_not_engaged(cards):
    """Four bits in groups of 32 change nothing in this model: its weights were made on that grid."""
    assert cards["rtn:4g32", "bf16"].evidence.weights.kind == "equal"
    assert cards["rtn:4g32", "bf16"].evidence.check("kl_ref_cand").value < 1e-9


def test_honest_bf16_is_within(cards):
    """Rounding to bf16 is no degradation."""
    assert verdict(cards, "dtype:bf16") == (Outcome.WITHIN, None)


def test_int8_nf4_and_3_bit_are_in_order_and_apart(cards):
    """Each 95 % interval lies below the next."""
    kl = [cards[label, "bf16"].evidence.check("kl_ref_cand") for label in ("bnb:int8", "bnb:nf4", "rtn:3g64")]
    assert kl[0].high < kl[1].low
    assert kl[1].high < kl[2].low


def test_quantized_copies_sold_as_bf16_are_beyond_and_named(cards):
    """int8, nf4 and 3-bit copies are found out, with the cause."""
    for label in ("bnb:int8", "bnb:nf4", "rtn:3g64"):
        assert verdict(cards, label) == (Outcome.BEYOND, Cause.QUANTIZATION)


def test_a_saved_nf4_checkpoint_is_judged_by_its_own_claim(cards):
    """A file that openly says nf4 is WITHIN; the same file sold as bf16 is BEYOND with cause quantization."""
    assert verdict(cards, "nf4-saved", "nf4") == (Outcome.WITHIN, None)
    assert cards["nf4-saved", "nf4"].evidence.claim_source == "its quantization config"
    assert verdict(cards, "nf4-saved", "bf16") == (Outcome.BEYOND, Cause.QUANTIZATION)


@pytest.mark.parametrize(
    ("label", "cause"),
    [
        ("scaled", Cause.NUMERICS),
        ("rope", Cause.NUMERICS),
        ("zeroed", Cause.NUMERICS),
        ("permuted", Cause.TOKENIZER),
        ("tuned", Cause.OTHER_MODEL),
    ],
)
def test_other_faults_are_never_called_quantization(cards, label, cause):
    """Scale, rope, a lost layer, permuted rows and a fine-tuned sibling each get their own cause."""
    assert verdict(cards, label) == (Outcome.BEYOND, cause)


def test_a_scale_is_also_visible_without_the_weights(cards):
    """One temperature explains the scaled model and none of the quantized ones."""
    fit = cards["scaled", "bf16"].evidence.scalar
    assert fit.low > 0.9
    assert fit.tau == pytest.approx(1.2, abs=0.05)
    for label in ("bnb:int8", "bnb:nf4", "rtn:3g64"):
        assert cards[label, "bf16"].evidence.scalar.low < 0.5


def test_every_candidate_reads_on_the_ladder(cards):
    """The 3-bit copy reads as 3 bits; int8 reads between 4 and 8."""
    assert cards["rtn:3g64", "bf16"].evidence.ladder.bits == pytest.approx(3.0)
    assert 4 < cards["bnb:int8", "bf16"].evidence.ladder.bits <= 8
