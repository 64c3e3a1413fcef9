"""A host that the user vouches for: asked the same, and what accuses it accuses nobody."""

from __future__ import annotations

import pytest

from harness.auditing import AuditRequest, audit_endpoint
from harness.auditing.audit import judge_again
from harness.auditing.honest_host import honest_address
from harness.auditing.store import AuditFolder
from harness.config import Places
from harness.errors import UsageError
from harness.targets.endpoint.address import parse_address
from harness.targets.endpoint.client import Client
from harness.targets.endpoint.local import local_host
from harness.targets.spec import Runtime
from tests.support.hosts import host, pass_on
from tests.support.steps import ended


def audit(reference, candidate, vouched, results):
    """A small audit of a candidate beside a host that is vouched for."""
    request = AuditRequest(
        str(reference), requests=2, tokens=16, bank=("ggufq:Q4_0",), controls=False, checks="none", nonce="honest",
        runtime=Runtime(threads=1),
    )  # fmt: skip
    with Client(parse_address(candidate)) as client, Client(parse_address(vouched)) as honest:
        return ended(audit_endpoint(request, client, Places(results, Places.default().cache), honest))


@pytest.mark.slow
def test_an_honest_host_is_asked_the_same_and_judged_again_bit_for_bit(smollm, llamacpp, tmp_path):
    """It has a row among the controls, its own journal, and the verdict stands on both."""
    card, folder = audit(smollm, llamacpp, llamacpp, tmp_path)
    (control,) = card.controls
    assert (control.role, control.sound, control.requests) == ("honest", True, 2)
    assert control.name.startswith("honest host: http://127.0.0.1")
    assert control.tokens > 0
    assert (folder / "honest.sqlite").exists()
    assert card.spent_on_honest.requests > 2
    stored = AuditFolder(folder)
    assert stored.weigh_again() == (card.facts, card.controls)
    assert judge_again(stored) == card


@pytest.mark.slow
def test_a_template_that_the_honest_host_has_too_is_not_held_against_the_candidate(smollm, smollm_gguf, tmp_path):
    """Both make other prompts than the reference: then it is the reference, or the measurement, that is wrong."""
    template = (smollm / "chat_template.jinja").read_text()
    default = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
    with local_host(smollm_gguf, template.replace(default, "You are a pirate who sells insurance")) as address:
        card, folder = audit(smollm, address, address, tmp_path)
    (control,) = card.controls
    assert (control.sound, control.axis) == (False, "prompts")
    assert {layer.outcome for layer in card.layers} == {"INCONCLUSIVE"}
    assert "does not make the reference's prompts either" in card.prompts.reason
    assert judge_again(AuditFolder(folder)) == card


@pytest.mark.slow
def test_an_honest_host_that_cannot_be_measured_is_not_passed_over(smollm, llamacpp, tmp_path):
    """It shows its prompts and answers no question: nothing is said of the candidate."""

    def answer(asked, _):
        if asked.path.endswith("/chat/completions"):
            return 500, {}, b"broken"
        return pass_on(llamacpp.removesuffix("/v1"), asked)

    with host(answer) as broken:
        card, folder = audit(smollm, llamacpp, broken.address, tmp_path)
    (control,) = card.controls
    assert not control.sound
    assert control.untestable
    assert card.axes[0].outcome == "INCONCLUSIVE"
    assert "could not be measured" in card.axes[0].reason
    assert judge_again(AuditFolder(folder)) == card


def test_where_an_honest_host_may_be(tmp_path, smollm):
    """A running one; a file of 16 bits beside the reference; everything else is refused with what to give."""
    with honest_address("https://vendor.example/v1#model", str(smollm), tmp_path) as found:
        assert found == ("https://vendor.example/v1#model", "")
    for where, reference in (("auto", tmp_path), ("model.bin", smollm), (str(tmp_path / "no.gguf"), smollm)):
        with pytest.raises(UsageError) as caught, honest_address(where, str(reference), tmp_path):
            pass
        assert "gguf" in caught.value.fix.lower()


def test_a_quantized_file_is_no_honest_host(smollm, smollm_gguf, tmp_path):
    """It would excuse what it is meant to find."""
    with pytest.raises(UsageError, match="Q4_1"), honest_address(str(smollm_gguf), str(smollm), tmp_path):
        pass
