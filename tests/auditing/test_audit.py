"""Audits of a real llama.cpp server, from questions to the verdict on the terminal."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from harness.auditing import AuditRequest, audit_endpoint
from harness.auditing.store import AuditFolder
from harness.cli.main import cli
from harness.config import Places
from harness.errors import StoredRunError
from harness.targets.endpoint.address import parse_address
from harness.targets.endpoint.client import Client
from harness.targets.spec import Runtime
from tests.support.gguf import requantized
from tests.support.hosts import host, pass_on
from tests.support.llamacpp import llamacpp_server

BANK = ("ggufq:Q4_0", "prompt:chatml-fallback")


def audit(reference, address, results, **options):
    """One audit without a command line."""
    request = AuditRequest(str(reference), bank=BANK, nonce="test", runtime=Runtime(threads=1), **options)
    with Client(parse_address(address)) as client:
        steps = audit_endpoint(request, client, Places(results, Places.default().cache))
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return end.value


@pytest.mark.slow
def test_an_honest_host_is_not_accused_and_the_audit_is_judged_again_bit_for_bit(llamacpp, smollm, tmp_path):
    """The reference's own file: nothing grows, a 4-bit build and a lost system prompt are ruled out."""
    card, folder = audit(smollm, llamacpp, tmp_path, requests=6)
    identity, integrity = card.axes
    assert identity.outcome == "INCONCLUSIVE"
    assert integrity.outcome == "INCONCLUSIVE"
    builds = {build.name: build for build in card.facts.builds}
    assert builds["ggufq:Q4_0"].excluded
    assert builds["ggufq:Q4_0"].divergence > 0.1
    assert card.facts.weights.crossed_at == 0
    assert card.facts.lost == 0
    assert AuditFolder(folder).weigh_again() == card.facts
    (folder / "evidence.npz").write_bytes(b"PK")
    with pytest.raises(StoredRunError):
        AuditFolder(folder).weigh_again()


@pytest.mark.slow
def test_a_four_bit_host_is_found_and_named_by_the_command(smollm, smollm_gguf, tmp_path):
    """``fidelity compare REFERENCE URL``: exit 1, cause quantization, in the first requests, with a certified effect."""
    file = requantized(smollm_gguf, "Q4_0", Places.default().cache / "hosts")
    with llamacpp_server(file) as address:
        arguments = ["compare", str(smollm), address, "--bank", ",".join(BANK), "--requests", "5", "--threads", "1"]
        found = CliRunner().invoke(cli, [*arguments, "--results", str(tmp_path)], standalone_mode=False)
    assert found.return_value == 1, found.output
    last = found.output.strip().splitlines()[-1]
    assert last.startswith("VERDICT: BEYOND cause=quantization exit=1 report=")
    card = json.loads((next(tmp_path.glob("*-audit-*")) / "audit.json").read_text())
    assert card["facts"]["weights"]["crossed_at"] <= 2
    assert card["facts"]["weights"]["explanations"][0]["best"] == "ggufq:Q4_0"


def test_a_host_that_tells_no_ids_is_not_testable(llamacpp, smollm, tmp_path):
    """Without ids another cut of the same text has another probability: no verdict is guessed."""

    def without(asked, _):
        status, headers, body = pass_on(llamacpp.removesuffix("/v1"), asked)
        answer = json.loads(body)
        for choice in answer.get("choices", []):
            choice.pop("logprobs", None)
        return status, headers, json.dumps(answer).encode()

    with host(without) as gateway:
        card, _ = audit(smollm, gateway.address, tmp_path, requests=2, tokens=8)
    assert card.outcome == "NOT_TESTABLE"
    assert "ids" in card.axes[0].reason
    assert card.exit_code == 3


def test_a_host_that_answers_nothing_is_not_testable(smollm, tmp_path):
    """Refusals are lost replies, and lost replies are no evidence."""
    with host(lambda *_: (400, {}, b'{"error": {"message": "no"}}')) as running:
        card, _ = audit(smollm, running.address, tmp_path, requests=2)
    assert card.outcome == "NOT_TESTABLE"
    assert sum(card.losses.values()) == 2
