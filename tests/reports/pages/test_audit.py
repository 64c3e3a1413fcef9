"""The page of an audit: everything that another needs, nothing that runs, and no text of a host that is not escaped."""

from __future__ import annotations

import pytest

from harness.reports.pages.audit import curl, render_audit
from harness.targets.endpoint.budget import Spent
from harness.verdicts.audit import judge_replies
from harness.verdicts.model import AxisVerdict, Finding
from tests.support.audit_cards import EVIL, audit_card


@pytest.mark.parametrize("server", ["p", "b"])
def test_the_page_tells_everything_and_runs_nothing(server):
    """Paths with the threshold, builds, controls, capabilities, cost, the frozen plan, and a request to repeat."""
    page = render_audit(audit_card(server), b'{"messages": [{"role": "user", "content": "it\'s <b>"}]}')
    assert "<script" not in page
    assert "default-src" in page
    for told in (
        "accused above this line",
        "Controls: hosts of known weights",
        "ignored",
        "curl -sS",
        "$API_KEY",
        "nonce",
        "1,000 tokens in",
        "told log-probabilities",
    ):
        assert told in page
    assert page.count("<polyline") == 3
    assert len(page) < 100_000


def test_a_lower_layer_explains_those_above_it():
    """Prompts that differ give the verdict their cause, whatever the text looks like."""
    prompts = AxisVerdict(axis="integrity", outcome="BEYOND", cause="template", reason="another system message")
    card = audit_card("b", prompts=prompts, findings=(Finding(code="TMPL105", detail=EVIL),))
    assert (card.outcome, card.cause) == ("BEYOND", "template")
    assert "<script" not in render_audit(card, b"")
    vague = AxisVerdict(axis="identity", outcome="BEYOND", cause="unlisted", reason="no listed cause")
    named = AxisVerdict(axis="displacement", outcome="BEYOND", cause="kv-cache", reason="as large as it")
    assert audit_card("b", axes=(vague, named)).cause == "kv-cache"
    assert audit_card("b", axes=(vague, vague)).cause == "unlisted"
    card = audit_card("b", prompts=prompts.model_copy(update={"outcome": "NOT_TESTABLE", "cause": None}))
    assert (card.outcome, card.cause) == ("BEYOND", "quantization")


def test_a_command_to_repeat_a_request_is_one_word_for_the_shell():
    """Quotes of the question do not end it."""
    import shlex

    words = shlex.split(curl(audit_card("p"), b'{"messages": [{"role": "user", "content": "it\'s; rm -rf $HOME"}]}'))
    assert words[:3] == ["curl", "-sS", "http://127.0.0.1:1/v1/chat/completions"]
    assert words[-1].endswith("}")
    assert "it's; rm -rf $HOME" in words[-1]
    plan = audit_card("p").plan.model_copy(update={"protocol": "completions"})
    assert "http://127.0.0.1:1/v1/completions" in curl(audit_card("p", plan=plan), b'{"prompt": [1, 2]}')


def test_an_audit_without_evidence_still_has_a_page():
    """It says what could not be measured."""
    axes = judge_replies(None, "No reply can be scored.")
    page = render_audit(audit_card("p", facts=None, axes=axes, controls=(), profile=None), b"")
    assert "NOT_TESTABLE" in page
    assert "Nothing could be scored" in page


def test_what_an_honest_host_costs_is_told_beside_the_candidate():
    """Somebody pays for both."""
    page = render_audit(audit_card("p", spent_on_honest=Spent(requests=41, prompt=2000, tokens=99)), b"")
    assert "The honest host took 41 requests, 2,000 tokens in" in page
