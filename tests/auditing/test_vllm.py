"""A running vLLM that serves the demo's reference: ``make test-vllm VLLM=http://127.0.0.1:8000/v1#name``, else not collected.

How to start one on a machine without a GPU stands in docs/servers.md.
"""

from __future__ import annotations

import os

import pytest

from harness.auditing import AuditRequest, audit_endpoint
from harness.config import Places
from harness.prompting import compare_endpoint
from harness.targets.endpoint.address import parse_address
from harness.targets.endpoint.client import Client
from harness.targets.endpoint.probe import State, probe
from harness.targets.spec import Runtime
from tests.support.steps import ended


@pytest.fixture
def client():
    with Client(parse_address(os.environ["FIDELITY_VLLM"])) as found:
        yield found


def test_vllm_shows_what_it_can(client):
    """Token ids both ways, log-probabilities before the temperature, scores of prompts."""
    profile = probe(client)
    assert profile.engine.startswith("vLLM")
    for name in ("token ids", "ids as prompt", "prompt scoring", "logprobs before the temperature", "seed"):
        assert profile.state(name) is State.YES, name


def test_what_vllm_does_to_prompts_on_purpose_is_documented(client, smollm):
    """No difference but those of the registry, and everything is billed as shown."""
    card = compare_endpoint(str(smollm), client, Places.default().cache)
    assert card.verdict.outcome == "WITHIN", card.verdict.reason
    assert {finding.code for finding in card.findings} <= {"TMPL115", "TMPL116"}


def test_vllm_answers_conversations_as_it_answers_the_references_prompts(client, smollm):
    """Held against itself, in two forms; nothing is shown by its engine."""
    card = compare_endpoint(str(smollm), client, Places.default().cache, "self-render")
    assert (card.verdict.outcome, card.findings) == ("WITHIN", ()), card.verdict.reason


@pytest.mark.slow
def test_an_honest_vllm_is_within_the_band(client, smollm, tmp_path):
    """Its ids come as token_id:N, its arithmetic is no engine's that the band was made of."""
    request = AuditRequest(
        str(smollm), requests=24, bank=("ggufq:Q8_0", "ggufq:Q4_0"), nonce="vllm", checks="none", controls=False,
        runtime=Runtime(threads=1),
    )  # fmt: skip
    card, _ = ended(audit_endpoint(request, client, Places(tmp_path, Places.default().cache)))
    assert card.outcome != "BEYOND", card.axes
    assert card.facts.logprobs.distance < 2 * card.facts.logprobs.band
    assert card.facts.recut is None
    texts = next(axis for axis in card.axes if axis.axis == "texts")  # it scores what it is shown
    assert texts.outcome == "WITHIN", texts.reason
    assert card.texts.distance < 2 * card.texts.band
