"""Fixed texts, scored by a host: real weights behind the shape of vLLM's answers, honest and rounded to four bits."""

from __future__ import annotations

from functools import partial

import pytest

from harness.auditing import AuditFolder, AuditRequest, audit_endpoint, texts
from harness.comparisons.controls import ControlFacts
from harness.config import Places
from harness.prompts.texts import draw_texts
from harness.targets.checkpoint.fake_quant import apply_rounding
from harness.targets.endpoint.address import parse_address
from harness.targets.endpoint.client import Client
from harness.targets.spec import Runtime
from harness.verdicts.logprobs import judge_texts
from tests.support.hosts import host
from tests.support.scoring import scoring
from tests.support.steps import ended


def audited(reference, address, results, **options):
    """An audit of one question, by prompts, with ten texts."""
    request = AuditRequest(
        str(reference), requests=1, texts=10, bank=("ggufq:Q4_0",), nonce="texts", checks="none", controls=False,
        protocol="completions", runtime=Runtime(threads=1), **options,
    )  # fmt: skip
    with Client(parse_address(address)) as client:
        return ended(audit_endpoint(request, client, Places(results, Places.default().cache)))


@pytest.mark.slow
def test_a_host_that_scores_texts_is_judged_by_them(smollm, llamacpp, tmp_path, monkeypatch):
    """No sampler, no template: the honest one lies within the band, the rounded one is named; both are judged again alike."""
    brief = [text[:120] for text in draw_texts(10, "texts")]
    monkeypatch.setattr(texts, "draw_texts", lambda *_: brief)  # the whole of them takes minutes
    rounded = partial(apply_rounding, kind="ggufq", detail="Q4_0")
    told = []
    for rounding, outcome, cause in ((None, "WITHIN", None), (rounded, "BEYOND", "quantization")):
        with host(scoring(smollm, llamacpp, rounding)) as running:
            card, folder = audited(smollm, running.address, tmp_path, fresh=True)
            asked = [one.body["prompt"] for one in running.asked if one.body.get("prompt_logprobs")]
        verdict = next(axis for axis in card.axes if axis.axis == "texts")
        assert (verdict.outcome, verdict.cause) == (outcome, cause), verdict.reason
        assert "agrees with what is told" not in verdict.reason
        assert len(asked) == 10
        assert 0 <= sum(len(ids) - 1 for ids in asked) - card.texts.tokens <= 4  # pieces of characters do not count
        assert AuditFolder(folder).texts().model_dump_json() == card.texts.model_dump_json()
        told.append(card.texts)
    within, beyond = told
    member = ControlFacts(name="m", role="honest", member="bf16", requests=1, tokens=1, log_e=0.0, found_at=0, axis="")
    vouched = member.model_copy(update={"name": "v", "member": ""})
    accused = vouched.model_copy(update={"found_at": 1, "axis": "identity"})
    few = within.model_copy(update={"requests": 2})
    for facts, controls, own, outcome in (
        (beyond, [member], None, "BEYOND"),
        (beyond, [vouched], None, "INCONCLUSIVE"),  # it scores no texts
        (beyond, [vouched], few, "INCONCLUSIVE"),  # it could not have been accused
        (beyond, [vouched], beyond, "INCONCLUSIVE"),
        (beyond, [vouched], within, "BEYOND"),
        (beyond, [accused], within, "INCONCLUSIVE"),
        (within, [accused], None, "INCONCLUSIVE"),
        (beyond.model_copy(update={"covered": 0.5}), [member], None, "INCONCLUSIVE"),
        (
            within.model_copy(update={"covered": 0.9}),
            [member],
            None,
            "NOT_TESTABLE",
        ),  # a host could choose which it scores
        (within.model_copy(update={"log_over": 4.0, "under_at": 0}), [member], None, "INCONCLUSIVE"),
    ):
        assert judge_texts(facts, ("ggufq:Q4_0",), controls, own)[0].outcome == outcome


def test_stretches_are_drawn_by_the_nonce_alone():
    """The same audit shows the same texts when it goes on; another one shows others, of every document."""
    assert draw_texts(12, "a") == draw_texts(12, "a")
    assert not set(draw_texts(12, "a")) & set(draw_texts(12, "b"))
    assert all(300 < len(text) <= 360 for text in draw_texts(32, "a"))
