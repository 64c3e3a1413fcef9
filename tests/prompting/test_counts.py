"""The count tier against a real llama.cpp server with introspection off, and behind gateways that interfere."""

from __future__ import annotations

import datetime
import itertools
import json

import pytest
from tokenizers import Tokenizer

from harness.comparisons.counts import CountRow, structure
from harness.config import Places
from harness.prompting import compare_endpoint
from harness.prompting.counts import MOST_REQUESTS
from harness.prompting.evidence import family_of
from harness.prompts.conversation import Conversation, Dialect
from harness.prompts.faults import fault
from harness.prompts.jinja.process import PromptProcess
from harness.prompts.variants import Bench
from harness.targets.endpoint.address import parse_address
from harness.targets.endpoint.client import Client
from harness.targets.endpoint.local import local_host
from harness.targets.prompt_source import open_prompt_source
from tests.support.hosts import gateway, with_usage


@pytest.fixture(scope="module")
def count(smollm):
    """Probe an endpoint by counts alone; returns the card."""

    async def no_sleep(_):
        pass

    def run(address, access="counts"):
        with Client(parse_address(address), sleep=no_sleep) as client:
            card = compare_endpoint(str(smollm), client, Places.default().cache, access)
        assert card.evidence.requests <= MOST_REQUESTS
        assert type(card).model_validate_json(card.model_dump_json()) == card
        return card

    return run


def only_chat(asked):
    return asked.path == "/v1/chat/completions"


def codes(card):
    return {finding.code for finding in card.findings}


def test_the_same_file_served_by_llamacpp_is_billed_as_expected(count, llamacpp):
    """Zero false findings by counts; the verdict says what was ruled out and what moves no count. One token each."""
    with gateway(llamacpp, lambda asked, reply: reply if only_chat(asked) else (404, {}, b"{}")) as running:
        card = count(running.address, "auto")  # nothing is shown, so counts are what is left
    assert card.verdict.outcome == "WITHIN"
    assert codes(card) <= {"TMPL115"}
    assert card.evidence.faults - len(card.evidence.invisible) >= 25
    assert "rules out" in card.verdict.reason
    assert all(asked.body["max_tokens"] == 1 for asked in running.asked if only_chat(asked))


TEMPLATES = {
    "no-generation-prompt": ("{% if add_generation_prompt %}", "{% if false %}"),
    "chatml-fallback": (
        "{% if loop.first and messages[0]['role'] != 'system' %}",
        "{% if false %}",
    ),
}


@pytest.mark.parametrize("name", ["no-generation-prompt", pytest.param("chatml-fallback", marks=pytest.mark.slow)])
def test_a_replaced_template_is_named_by_counts_alone(count, smollm, smollm_gguf, name):
    """A real server with another template, introspection off."""
    template = (smollm / "chat_template.jinja").read_text()
    assert TEMPLATES[name][0] in template
    with local_host(smollm_gguf, template.replace(*TEMPLATES[name])) as address:
        card = count(address)
    assert (card.verdict.outcome, card.verdict.cause) == ("BEYOND", "template")
    assert (name,) in {one.faults for one in card.evidence.explanations}
    assert len(card.evidence.explanations) <= 3
    assert name in card.findings[0].detail


@pytest.mark.slow
def test_an_unknown_default_prompt_is_described_and_not_accused(count, smollm, smollm_gguf):
    """Another default system prompt: no fault of the library, but the counts say where it stands."""
    template = (smollm / "chat_template.jinja").read_text()
    other = template.replace("a helpful AI assistant named SmolLM, trained by Hugging Face", "a pirate")
    assert other != template
    with local_host(smollm_gguf, other) as address:
        card = count(address)
    assert card.verdict.outcome == "INCONCLUSIVE"
    assert "per request without a system or developer message under llama.cpp's own rules" in card.verdict.reason
    assert codes(card) == {"TMPL120"}


@pytest.mark.slow
def test_one_rule_of_an_engine_does_not_make_a_host_that_engine(count, smollm, smollm_gguf, llamacpp):
    """A host that maps developer to system and has none of llama.cpp's other rules is not excused as llama.cpp."""
    import shutil
    import tempfile
    from pathlib import Path

    from tests.support.templates import EVERYTHING

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "reference"
        shutil.copytree(smollm, folder, ignore=shutil.ignore_patterns("*.safetensors"))
        (folder / "chat_template.jinja").write_text(EVERYTHING)
        bench_source = open_prompt_source(str(folder), Places.default().cache)
        with PromptProcess() as process:
            today = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT12:00:00")
            bench = Bench(process, family_of(bench_source), bench_source.tokenizer, Dialect(clock=today))

            def interfere(asked, reply):
                fields = {
                    "messages": tuple(asked.body["messages"]),
                    "options": asked.body.get("chat_template_kwargs") or {},
                }
                tools = asked.body.get("tools")
                asking = Conversation(**fields, tools=None if tools is None else tuple(tools))
                (prompt,) = bench.prompts([asking], [fault("developer-as-system")])
                return with_usage((200, {}, b'{"usage": {"prompt_tokens": 0}}'), lambda _: prompt.count)

            with gateway(llamacpp, interfere) as running, Client(parse_address(running.address)) as client:
                card = compare_endpoint(str(folder), client, Places.default().cache, "counts")
    assert card.evidence.deviations == ()
    assert ("developer-as-system",) in {one.faults for one in card.evidence.explanations}
    assert card.verdict.outcome == "INCONCLUSIVE"


def test_a_host_without_usage_is_not_testable(count, llamacpp):
    """No usage, or one that is no number: two requests are enough to see it."""
    for value in (None, "36", 3.5, True, -1):
        with gateway(llamacpp, lambda _, reply, value=value: with_usage(reply, lambda _: value)) as running:
            card = count(running.address)
        assert (card.verdict.outcome, codes(card), card.exit_code) == ("NOT_TESTABLE", {"INTG501"}, 3)
        assert card.evidence.requests <= 4


def test_counts_that_change_are_not_testable(count, llamacpp):
    """Two backends behind one name, seen in the preflight or only at the end."""
    for period, most in ((2, 12), (25, MOST_REQUESTS)):
        turn = itertools.count()
        interfere = lambda _, reply, turn=turn, period=period: with_usage(  # noqa: E731
            reply, lambda n: n + (next(turn) % period == period - 1)
        )
        with gateway(llamacpp, interfere) as running:
            card = count(running.address)
        assert card.verdict.outcome in {"NOT_TESTABLE", "INCONCLUSIVE"}
        assert card.evidence.requests <= most
        if period == 2:
            assert codes(card) == {"INTG502"}


@pytest.mark.slow
def test_a_foreign_tokenizer_on_the_bill_is_told_and_not_accused(count, llamacpp, toy):
    """A gateway that counts with a tokenizer of its own."""
    tokenizer = Tokenizer.from_file(str(toy / "tokenizer.json"))

    def interfere(asked, reply):
        text = json.dumps(asked.body.get("messages"), ensure_ascii=False)
        return with_usage(reply, lambda _: len(tokenizer.encode(text).ids))

    with gateway(llamacpp, interfere) as running:
        card = count(running.address)
    assert (card.verdict.outcome, codes(card)) == ("NOT_TESTABLE", {"INTG503"})


@pytest.mark.slow
def test_a_host_that_refuses_one_token_is_asked_for_its_minimum(count, llamacpp):
    """One output token is refused; sixteen are taken."""

    def interfere(asked, reply):
        refused = asked.body.get("max_tokens", 99) < 16 or "max_completion_tokens" in asked.body
        message = {"error": {"message": "max_tokens must be at least 16"}}
        return (400, {}, json.dumps(message).encode()) if refused else reply

    with gateway(llamacpp, interfere) as running:
        card = count(running.address)
    assert card.verdict.outcome == "WITHIN"
    assert running.asked[-1].body["max_tokens"] == 16


@pytest.mark.slow
def test_a_host_that_is_busy_now_and_then_is_asked_again(count, llamacpp):
    """429 on every fifth request: the probe finishes within its budget of attempts."""
    turn = itertools.count(1)
    busy = (429, {"retry-after": "0"}, b"{}")
    with gateway(llamacpp, lambda _, reply: busy if next(turn) % 5 == 0 else reply) as running:
        card = count(running.address)
    assert card.verdict.outcome == "WITHIN"


def test_cut_prompts_are_found(count, llamacpp):
    """A host that bills at most 200 tokens: the long text shows it."""
    with gateway(llamacpp, lambda _, reply: with_usage(reply, lambda n: min(n, 200))) as running:
        card = count(running.address)
    assert (card.verdict.outcome, card.verdict.cause, codes(card)) == ("BEYOND", "clipping", {"INTG505"})


def row(difference, *roles, tools=0):
    request = {"messages": [{"role": role} for role in roles], "tools": [{}] * tools or None}
    return CountRow(kind="probe", case="c", number=0, request=request, expected=50, billed=50 + difference)


def test_differences_are_read_as_so_many_per_part():
    """A constant, a default prompt, turns, tools: each reading fits every row exactly or is not given."""
    mixed = [
        ("user",),
        ("system", "user"),
        ("user", "assistant", "user"),
        ("user",) * 2,
        ("system", "user", "assistant", "user"),
    ]
    assert structure([row(3, *r) for r in mixed], 1) == ["+3 per request"]
    assert "+7 per request without a system message" in structure([row(7 * ("system" not in r), *r) for r in mixed], 1)
    assert structure([row(2 * len(r), *r) for r in mixed], 1) == ["+2 per message"]
    tools = [row(5 + 9 * n, "user", tools=n) for n in (0, 1, 2, 1, 0, 3)]
    assert structure(tools, 1) == []
    assert "+5 per request and +9 per tool" in structure(tools, 2)
    assert structure([row(0, "user")] * 4, 1) == []
    assert structure([row(d, "user") for d in (1, 2, 4)], 2) == []
