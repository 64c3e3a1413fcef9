"""Audits of a real llama.cpp server, from questions to the verdict on the terminal."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from harness.auditing import AuditRequest, audit_endpoint
from harness.auditing.store import AuditFolder
from harness.cli.main import cli
from harness.config import Places
from harness.errors import EndpointRefused, StoredRunError
from harness.targets.endpoint.address import parse_address
from harness.targets.endpoint.client import Client
from harness.targets.sampler import Sampler
from harness.targets.spec import Runtime
from tests.support.gguf import requantized
from tests.support.hosts import host, pass_on
from tests.support.llamacpp import llamacpp_server

BANK = ("ggufq:Q4_0", "prompt:chatml-fallback")


def audit(reference, address, results, **options):
    """One audit without a command line."""
    request = AuditRequest(str(reference), nonce="test", runtime=Runtime(threads=1), **({"bank": BANK} | options))
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


@pytest.mark.slow
def test_a_forced_cut_off_is_audited_as_asked_for(llamacpp, smollm, tmp_path):
    """A real server under top_p 0.9: nothing grows on the honest weights, a 4-bit build is ruled out, and it is judged again."""
    card, folder = audit(smollm, llamacpp, tmp_path, requests=4, bank=BANK[:1], sampler=Sampler(cut="top_p", value=0.9))
    assert [axis.outcome for axis in card.axes] == ["INCONCLUSIVE", "INCONCLUSIVE"]
    assert card.facts.weights.log_e < 2
    assert card.facts.sampler.log_e < 2
    assert [build.excluded for build in card.facts.builds] == [True]
    assert AuditFolder(folder).weigh_again() == card.facts


def without_ids(base):
    """A gateway that hides ids, trims texts, and adds a newline."""

    def answer(asked, _):
        status, headers, body = pass_on(base.removesuffix("/v1"), asked)
        found = json.loads(body)
        for choice in found.get("choices", []):
            choice.pop("logprobs", None)
            choice["message"]["content"] = choice["message"]["content"].strip() + "\n"
        return status, headers, json.dumps(found).encode()

    return host(answer)


@pytest.mark.slow
def test_a_host_that_tells_no_ids_is_judged_by_its_texts_and_charged_for_it(smollm, smollm_gguf, llamacpp, tmp_path):
    """A 4-bit host is still found and named; on an honest one nothing grows and nothing is ruled out."""
    file = requantized(smollm_gguf, "Q4_0", Places.default().cache / "hosts")
    options = {"requests": 5, "tokens": 32, "draws": 40, "bank": BANK[:1]}
    with llamacpp_server(file) as address, without_ids(address) as gateway:
        card, folder = audit(smollm, gateway.address, tmp_path, **options)
    assert (card.axes[0].outcome, card.axes[0].cause) == ("BEYOND", "quantization")
    assert card.axes[1].outcome == "NOT_TESTABLE"
    assert card.facts.recut.members["ggufq:Q4_0"] > 0
    assert 0 < card.facts.recut.moved < 0.8
    assert AuditFolder(folder).weigh_again().weights == card.facts.weights
    with without_ids(llamacpp) as gateway:
        card, _ = audit(smollm, gateway.address, tmp_path, **options)
    assert card.axes[0].outcome == "INCONCLUSIVE"
    assert card.facts.weights.log_e < 0
    assert not any(build.excluded for build in card.facts.builds)
    assert "tells no ids" in card.axes[0].reason


def test_a_host_that_answers_nothing_is_not_testable(smollm, tmp_path):
    """Refusals are lost replies, and lost replies are no evidence."""
    with host(lambda *_: (400, {}, b'{"error": {"message": "no"}}')) as running:
        card, _ = audit(smollm, running.address, tmp_path, requests=2)
    assert card.outcome == "NOT_TESTABLE"
    assert sum(card.losses.values()) == 2


def test_a_key_that_is_refused_half_way_is_a_loss_and_not_an_end(smollm, tmp_path):
    """At the first question it is the user's error; later on a host could erase its evidence by it."""
    answers = iter([(200, {}, b'{"choices": []}'), (401, {}, b"{}"), (401, {}, b"{}")])
    with host(lambda *_: next(answers)) as running:
        card, folder = audit(smollm, running.address, tmp_path, requests=2)
    assert card.outcome == "NOT_TESTABLE"
    assert len((folder / "replies.jsonl").read_text().splitlines()) == 2
    with host(lambda *_: (401, {}, b"{}")) as running, pytest.raises(EndpointRefused):
        audit(smollm, running.address, tmp_path, requests=2)
