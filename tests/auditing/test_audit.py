"""Audits of a real llama.cpp server, from questions to the verdict on the terminal."""

from __future__ import annotations

import json
import re

import pytest
from click.testing import CliRunner

from harness.auditing import AuditRequest, audit_endpoint
from harness.auditing.store import AuditFolder
from harness.cli.main import cli
from harness.config import Places
from harness.errors import EndpointRefused, StoredRunError
from harness.observations.asked import Asked
from harness.prompts.questions import draw_questions
from harness.targets.endpoint.address import parse_address
from harness.targets.endpoint.budget import Caps
from harness.targets.endpoint.client import Client
from harness.targets.endpoint.local import local_host
from harness.targets.endpoint.pace import Pace
from harness.targets.requantized import requantized
from harness.targets.sampler import Sampler
from harness.targets.spec import Runtime
from tests.support.hosts import gateway, host, pass_on, with_usage
from tests.support.steps import ended

BANK = ("ggufq:Q4_0", "prompt:chatml-fallback")
DEFAULTS = {"bank": BANK, "controls": False, "checks": "none", "nonce": "test", "runtime": Runtime(threads=1)}


def audit(reference, address, results, **options):
    """One audit without a command line."""
    request = AuditRequest(str(reference), **(DEFAULTS | options))
    with Client(parse_address(address)) as client:
        return ended(audit_endpoint(request, client, Places(results, Places.default().cache)))


@pytest.mark.slow
def test_an_honest_host_is_not_accused_and_the_audit_is_judged_again_bit_for_bit(llamacpp, smollm, tmp_path):
    """The reference's own file: nothing grows, a 4-bit build and a lost system prompt are ruled out."""
    card, folder = audit(smollm, llamacpp, tmp_path, requests=6)
    identity, integrity, displacement = card.axes
    assert card.facts.logprobs.distance < 5e-3  # the file's 4-bit matrices meet activations rounded to 8 bits
    assert min(one.band for one in card.facts.logprobs.builds) > 1e-2
    assert displacement.outcome != "BEYOND"
    assert identity.outcome == "INCONCLUSIVE"
    assert integrity.outcome == "INCONCLUSIVE"
    builds = {build.name: build for build in card.facts.builds}
    assert builds["ggufq:Q4_0"].excluded
    assert builds["ggufq:Q4_0"].divergence > 0.1
    assert card.facts.weights.crossed_at == 0
    assert card.facts.lost == 0
    assert AuditFolder(folder).weigh_again() == (card.facts, card.controls)
    (folder / "evidence-0000.npz").write_bytes(b"PK")
    with pytest.raises(StoredRunError):
        AuditFolder(folder).weigh_again()


def test_a_four_bit_host_is_found_by_what_it_writes(smollm, smollm_gguf, tmp_path):
    """In a few replies of a real server, against the reference and the build that it serves."""
    file = requantized(smollm_gguf, "Q4_0", Places.default().cache / "hosts")
    with local_host(file) as address:
        card, folder = audit(smollm, address, tmp_path, requests=3, bank=BANK[:1])
    assert (card.outcome, card.cause) == ("BEYOND", "quantization")
    assert card.facts.logprobs.builds[0].name == "ggufq:Q4_0"
    assert (folder / "report.html").exists()


@pytest.mark.slow
def test_a_four_bit_host_is_found_and_named_by_the_command(smollm, smollm_gguf, tmp_path):
    """``fidelity compare REFERENCE URL``: exit 1, cause quantization, in the first requests, with a certified effect."""
    file = requantized(smollm_gguf, "Q4_0", Places.default().cache / "hosts")
    with local_host(file) as address:
        arguments = ["compare", str(smollm), address, "--bank", ",".join(BANK), "--requests", "5", "--threads", "1",
                     "--checks", "quick"]  # fmt: skip
        found = CliRunner().invoke(cli, [*arguments, "--results", str(tmp_path)], standalone_mode=False)
    assert found.return_value == 1, found.output
    last = found.output.strip().splitlines()[-1]
    assert last.startswith("VERDICT: BEYOND cause=quantization exit=1 report=")
    card = json.loads((next(tmp_path.glob("*-audit-*")) / "audit.json").read_text())
    assert card["facts"]["weights"]["crossed_at"] <= 2
    assert card["facts"]["weights"]["explanations"][0]["best"] == "ggufq:Q4_0"
    assert card["facts"]["logprobs"]["over_at"] <= 5
    assert card["parameters"]["outcome"] == "WITHIN"
    assert card["facts"]["logprobs"]["builds"][0]["name"] == "ggufq:Q4_0"


@pytest.mark.slow
def test_a_forced_cut_off_is_audited_as_asked_for(llamacpp, smollm, tmp_path):
    """A real server under top_p 0.9: nothing grows on the honest weights, a 4-bit build is ruled out, and it is judged again."""
    card, folder = audit(smollm, llamacpp, tmp_path, requests=4, bank=BANK[:1], sampler=Sampler(cut="top_p", value=0.9))
    assert [axis.outcome for axis in card.axes] == ["INCONCLUSIVE", "INCONCLUSIVE"]
    assert card.facts.weights.log_e < 2
    assert card.facts.sampler.log_e < 2
    assert [build.excluded for build in card.facts.builds] == [True]
    assert AuditFolder(folder).weigh_again()[0] == card.facts


@pytest.mark.slow
def test_a_host_is_asked_by_the_references_own_prompts_as_streams(llamacpp, smollm, tmp_path):
    """Weights without a template, at a host that has completions alone: nothing is said of its prompts.

    One that bills another prompt than it was given has not read that prompt alone, and is neither accused nor cleared.
    """
    shift = 0

    def bare(asked, _):
        reply = pass_on(llamacpp.removesuffix("/v1"), asked) if asked.path == "/v1/completions" else (404, {}, b"{}")
        return with_usage(reply, lambda count: count + shift) if shift and reply[0] == 200 else reply

    with host(bare) as running:
        card, folder = audit(smollm, running.address, tmp_path, requests=3, protocol="completions", stream=True)
        asked = [one for one in running.asked if one.body.get("max_tokens") == 64]
        shift = 1
        odd, _ = audit(smollm, running.address, tmp_path, requests=1, protocol="completions")
    assert {(one.path, one.body["stream"]) for one in asked} == {("/v1/completions", True)}
    assert list(card.plan.families) == ["ggufq:Q4_0"]
    assert card.facts.tokens > 60
    assert card.facts.logprobs.distance < 5e-3
    assert {axis.outcome for axis in card.axes} == {"INCONCLUSIVE"}
    assert (card.prompts, card.parameters) == (None, None)
    assert card.spent.tokens < 3 * 64 + 100  # streams say what they cost, too
    with Asked(folder / "asked.sqlite") as log:
        assert [reply.ids for reply in log.replies().values()].count(None) == 0
    assert {axis.outcome for axis in odd.axes} == {"NOT_TESTABLE"}
    assert "given whole, is billed as" in odd.axes[0].reason


@pytest.mark.slow
def test_a_host_that_tells_tokens_by_their_bytes_alone_is_judged_as_if_it_told_ids(llamacpp, smollm, tmp_path):
    """The ids come from the reference's own vocabulary: no charge, and log-probabilities count."""

    def strip(asked, reply):
        status, headers, body = reply
        return status, headers, re.sub(rb'"id":\d+,', b"", body)

    with gateway(llamacpp.removesuffix("/v1"), strip) as running:
        card, _ = audit(smollm, running.address, tmp_path, requests=2, bank=BANK[:1])
    assert card.facts.recut is None
    assert card.facts.lost == 0
    assert card.facts.logprobs.tokens >= card.facts.tokens - 2
    assert card.facts.logprobs.distance < 5e-3


def without_ids(base):
    """A gateway that hides ids, trims texts, adds a newline, and has no streams."""

    def answer(asked, _):
        if asked.body.get("stream"):
            return 400, {}, b'{"error": {"message": "no streams"}}'
        status, headers, body = pass_on(base.removesuffix("/v1"), asked)
        found = json.loads(body)
        for choice in found.get("choices", []):
            choice.pop("logprobs", None)
            if "message" in choice:
                choice["message"]["content"] = choice["message"]["content"].strip() + "\n"
        return status, headers, json.dumps(found).encode()

    return host(answer)


@pytest.mark.slow
def test_a_host_that_tells_no_ids_is_judged_by_its_texts_and_charged_for_it(smollm, smollm_gguf, llamacpp, tmp_path):
    """A 4-bit host is still found and named; on an honest one nothing grows and nothing is ruled out."""
    file = requantized(smollm_gguf, "Q4_0", Places.default().cache / "hosts")
    options = {"requests": 5, "tokens": 32, "draws": 20, "bank": BANK[:1]}
    with local_host(file) as address, without_ids(address) as gateway:
        card, folder = audit(smollm, gateway.address, tmp_path, **options)
    assert (card.axes[0].outcome, card.axes[0].cause) == ("BEYOND", "quantization")
    assert card.axes[1].outcome == "NOT_TESTABLE"
    assert 0 <= card.facts.recut.members["ggufq:Q4_0"] < 6
    assert card.controls == ()  # their replies have ids and would be weighed in another way
    assert 0 < card.facts.recut.moved < 0.8
    assert AuditFolder(folder).weigh_again()[0].weights == card.facts.weights
    with without_ids(llamacpp) as gateway:
        card, _ = audit(smollm, gateway.address, tmp_path, **options)
    assert card.axes[0].outcome == "INCONCLUSIVE"
    assert card.facts.weights.log_e < 0
    assert not any(build.excluded for build in card.facts.builds)
    assert "tells no ids" in card.axes[0].reason


def test_a_host_that_answers_nothing_is_not_testable(smollm, tmp_path):
    """Refusals are lost replies, and lost replies are no evidence; no more is asked than the first round."""
    with host(lambda *_: (400, {}, b'{"error": {"message": "no"}}')) as running:
        card, _ = audit(smollm, running.address, tmp_path, requests=2)
    assert card.outcome == "NOT_TESTABLE"
    assert sum(card.losses.values()) == 2


def test_a_model_that_is_not_there_is_the_users_error(smollm, tmp_path):
    """With the models that are; nothing more is asked."""

    def answer(asked, _):
        if asked.path == "/v1/models":
            return 200, {}, b'{"data": [{"id": "served"}]}'
        return 404, {}, b'{"error": {"message": "no such model"}}'

    with host(answer) as running, pytest.raises(EndpointRefused, match="served"):
        audit(smollm, running.address + "#wrong", tmp_path, requests=2)


def test_two_processes_do_not_share_a_folder(smollm, tmp_path):
    """An audit that is being made is not resumed by another one: it gets a folder of its own."""
    with host(lambda *_: (400, {}, b'{"error": {"message": "no"}}')) as running:
        request = AuditRequest(str(smollm), **(DEFAULTS | {"requests": 2}))
        with Client(parse_address(running.address)) as client:
            steps = audit_endpoint(request, client, Places(tmp_path, Places.default().cache))
            next(steps)
            _, folder = audit(smollm, running.address, tmp_path, requests=2)
            held = {path.name for path in tmp_path.glob("*-audit-*")}
            steps.close()
    assert len(held) == 2
    assert (folder / "audit.json").exists()


@pytest.mark.slow
def test_a_key_that_is_refused_half_way_is_a_loss_and_not_an_end(smollm, llamacpp, tmp_path):
    """At the first request it is the user's error; later on a host could erase its evidence by it."""
    questions = []

    def refuse(asked, reply):
        if asked.body.get("max_tokens") == 64:
            questions.append(asked)
        return reply if len(questions) < 2 else (401, {}, b"{}")

    with gateway(llamacpp.removesuffix("/v1"), refuse) as running:
        card, folder = audit(smollm, running.address, tmp_path, requests=2, bank=BANK[1:])
    assert sum(card.losses.values()) == 1
    assert card.outcome == "INCONCLUSIVE"
    with Asked(folder / "asked.sqlite") as asked:
        assert sorted(asked.replies()) == [0, 1]
        assert b"seed" in asked.request_of("reply-0001")
    with host(lambda *_: (401, {}, b"{}")) as running, pytest.raises(EndpointRefused):
        audit(smollm, running.address, tmp_path, requests=2)


@pytest.mark.slow
def test_an_interrupted_audit_goes_on_and_asks_nothing_twice(smollm, llamacpp, tmp_path):
    """Stopped in the middle of a round and of the next one; every question goes out once, and the end is the same."""
    questions = []

    def count(asked, reply):
        if asked.body.get("max_tokens") == 13:  # what nothing else asks for
            questions.append(asked.body["messages"][0]["content"])
        return reply

    options = {"requests": 9, "tokens": 13, "bank": BANK[1:], "nonce": "on"}
    with gateway(llamacpp.removesuffix("/v1"), count) as running:
        for stop in (3, 8):
            with Client(parse_address(running.address), pace=Pace(1)) as client:
                request = AuditRequest(str(smollm), **(DEFAULTS | options))
                for _ in audit_endpoint(request, client, Places(tmp_path, Places.default().cache)):
                    if len(questions) >= stop:
                        break
        card, folder = audit(smollm, running.address, tmp_path, **options)
        whole, _ = audit(smollm, running.address, tmp_path / "whole", **options)
    assert len(questions) <= 2 * 9 + 2  # one that was on its way at each stop may go out again
    assert len(set(questions)) == 9
    assert len(list(tmp_path.glob("*-audit-*"))) == 1
    assert card.facts.tokens == whole.facts.tokens
    assert card.facts.weights.log_e == pytest.approx(whole.facts.weights.log_e, abs=0.2)
    assert [axis.outcome for axis in card.axes] == [axis.outcome for axis in whole.axes]
    assert AuditFolder(folder).weigh_again()[0] == card.facts


@pytest.mark.slow
def test_a_replaced_template_is_called_one_whatever_the_text_looks_like(smollm, smollm_gguf, tmp_path):
    """An injected system prompt that no library holds: the prompts' layer comes first, and its cause is the verdict's.

    No more is asked once the text differs, too, whatever it is called by itself.
    """
    template = (smollm / "chat_template.jinja").read_text()
    default = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
    assert default in template
    with local_host(smollm_gguf, template.replace(default, "You are a pirate who sells insurance")) as address:
        card, _ = audit(smollm, address, tmp_path, requests=24, bank=BANK[1:])
    assert card.facts.requests < 24
    assert card.prompts.outcome == "BEYOND"
    assert (card.outcome, card.cause) == ("BEYOND", "template")
    assert card.findings


@pytest.mark.slow
def test_a_budget_ends_the_asking_and_what_came_is_judged(smollm, llamacpp, tmp_path):
    """No request leaves that would pass the cap."""
    caps = Caps(tokens=300, price_in=1.0, price_out=2.0)
    card, _ = audit(smollm, llamacpp, tmp_path, requests=12, tokens=32, bank=BANK[1:], caps=caps)
    assert 1 <= card.facts.requests < 12
    assert card.spent.tokens <= 300
    assert card.spent.money == pytest.approx((card.spent.prompt + 2 * card.spent.tokens) / 1e6)


@pytest.mark.slow
def test_logged_traffic_is_judged_as_if_it_had_been_asked_for(smollm, llamacpp, tmp_path):
    """The same replies out of a file: the same tokens and evidence, and no request goes out."""
    options = {"requests": 4, "tokens": 32, "bank": BANK[1:]}
    card, folder = audit(smollm, llamacpp, tmp_path, **options)
    with Asked(folder / "asked.sqlite") as asked:
        replies = asked.replies()
    lines = [
        {
            "messages": list(question.messages), "text": reply.text, "ids": reply.ids, "finish_reason": reply.finish,
            "completion_tokens": reply.billed, "max_tokens": 32,
        }
        for question, reply in zip(draw_questions(4, "test"), replies.values(), strict=True)
    ]  # fmt: skip
    log = tmp_path / "log.jsonl"
    log.write_text("\n".join(json.dumps(line) for line in lines))
    arguments = ["compare", str(smollm), "--replies", str(log), "--bank", BANK[1], "--threads", "1", "--no-controls"]
    found = CliRunner().invoke(cli, [*arguments, "--results", str(tmp_path / "logged")], standalone_mode=False)
    assert found.return_value == 3, found.output
    again = AuditFolder.open(tmp_path / "logged", "latest").card
    assert again.plan.endpoint == "file log.jsonl"
    assert again.facts.tokens == card.facts.tokens
    assert again.facts.builds[0].divergence == pytest.approx(card.facts.builds[0].divergence, rel=1e-6)
    assert again.spent.requests == 0
    shown = CliRunner().invoke(cli, ["report", "latest", "--results", str(tmp_path / "logged")], standalone_mode=False)
    assert "VERDICT: INCONCLUSIVE" in shown.output
    assert "audit" in CliRunner().invoke(cli, ["ls", "--results", str(tmp_path)], standalone_mode=False).output
