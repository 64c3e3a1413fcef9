"""One host held against itself: its answers to conversations, and to the prompts that the reference makes of them."""

from __future__ import annotations

import pytest

from harness.config import Places
from harness.prompting import compare_endpoint
from harness.targets.demo_model import demo_gguf
from harness.targets.endpoint.address import parse_address
from harness.targets.endpoint.client import Client
from harness.targets.endpoint.local import local_host
from tests.support.dishonest import injecting, without, without_system
from tests.support.hosts import host, pass_on


@pytest.fixture(scope="module")
def llamacpp(smollm):
    """A real server with all layers: here it is the answers that tell."""
    with local_host(demo_gguf(Places.default().cache)) as address:
        yield address


@pytest.fixture(scope="module")
def inspect(smollm):
    """Compare the demo model's folder with an endpoint; returns the card."""

    def run(address, access="self-render", reference=smollm):
        with Client(parse_address(address)) as client:
            return compare_endpoint(str(reference), client, Places.default().cache, access)

    return run


def unseen(base, change=lambda body: body):
    """A gateway that shows nothing of its engine: chat and completions alone."""

    def answer(asked, _):
        if not asked.path.endswith("/completions"):
            return 404, {}, b"{}"
        return pass_on(
            base.removesuffix("/v1"), type(asked)(asked.method, asked.path, asked.headers, change(asked.body))
        )

    return host(answer)


@pytest.mark.slow
def test_an_honest_host_is_within_and_shows_itself_which_faults_would_have_shown(inspect, llamacpp):
    """Without a page of its engine: the tier is chosen by itself, and the weights, which are 4-bit here, do not matter."""
    with unseen(llamacpp) as running:
        card = inspect(running.address, "auto")
    evidence = card.evidence
    assert evidence.stage == "done"
    assert (card.verdict.outcome, card.findings, evidence.named) == ("WITHIN", (), ())
    assert {"system-dropped", "no-generation-prompt", "chatml-fallback"} <= set(evidence.visible)
    assert "faults would have shown" in card.verdict.reason
    assert evidence.requests < 130
    assert type(card).model_validate_json(card.model_dump_json()) == card


@pytest.mark.slow
def test_a_system_prompt_that_a_gateway_drops_is_named(inspect, llamacpp):
    """The engine behind it shows the right prompts to whoever asks; the answers tell what it was sent."""

    def answer(asked, _):
        body = without_system(asked.body) if asked.path.endswith("/chat/completions") else asked.body
        return pass_on(llamacpp.removesuffix("/v1"), type(asked)(asked.method, asked.path, asked.headers, body))

    with host(answer) as running:
        card = inspect(running.address, "auto")
    assert (card.verdict.outcome, card.verdict.cause) == ("BEYOND", "template")
    assert card.evidence.named == ("system-dropped",)
    assert {finding.code for finding in card.findings} == {
        "TMPL112",
        "INTG504",
        "TMPL115",
    }  # the last: documented habits


def reordered(body):
    """Writes tools as a gateway does that reads them into objects of its own."""
    tools = [{**one, "function": dict(sorted(one["function"].items()))} for one in body.get("tools") or []]
    return body | {"tools": tools} if tools else body


def forgetful(body):
    """Loses what the model reasoned before."""
    kept = [
        {name: part for name, part in one.items() if name != "reasoning_content"} for one in body.get("messages", [])
    ]
    return body | {"messages": kept} if kept else body


@pytest.mark.slow
@pytest.mark.parametrize(
    ("vice", "fault"),
    [
        (without("tools"), "tools-dropped"),
        (forgetful, "reasoning-dropped"),
        (reordered, ""),  # llama.cpp writes tools anew, in an order of its own: the prompt is the same
    ],
)
def test_each_vice_of_a_gateway_is_named_by_its_answers(inspect, wide, vice, fault):
    """On a template that has tools, calls, reasoning and a date, in 16 bits; and without a vice there is nothing."""
    folder, address = wide
    with unseen(address, vice) as running:
        card = inspect(running.address, reference=folder)
    assert (card.verdict.outcome == "BEYOND") == bool(fault), card.verdict.reason
    assert not fault or fault in card.evidence.named
    assert [finding for finding in card.findings if not finding.detail.startswith(fault or "none")] == []


@pytest.mark.slow
def test_a_prompt_that_nobody_knows_is_told_and_not_accused(inspect, llamacpp):
    """It could as well be another model behind one of both forms."""
    with unseen(llamacpp, injecting("You are a pirate.")) as running:
        card = inspect(running.address)
    assert card.verdict.outcome == "INCONCLUSIVE"
    assert [finding.code for finding in card.findings] == ["INTG518"]
    assert len(card.evidence.differing) == len(card.evidence.measured) >= 8


@pytest.mark.slow
def test_a_host_without_completions_is_not_testable_this_way(inspect, llamacpp):
    """Nor one that bills something else than it was given; nothing more is asked of either."""

    def chat_alone(asked, _):
        if not asked.path.endswith("/chat/completions"):
            return 404, {}, b"{}"
        return pass_on(llamacpp.removesuffix("/v1"), asked)

    with host(chat_alone) as running:
        card = inspect(running.address)
    assert (card.verdict.outcome, card.evidence.stage) == ("NOT_TESTABLE", "ids")
    assert card.evidence.requests == 1
