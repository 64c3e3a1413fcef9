"""What goes out with every request: read strictly, sent everywhere, its secrets kept, and a pinned host that is another's."""

from __future__ import annotations

import json

import pytest

from harness.errors import BadSpec, UsageError
from harness.targets.endpoint.address import is_address, parse_address
from harness.targets.endpoint.client import Client
from harness.targets.endpoint.extras import OWN, Extras, read_extras
from harness.targets.endpoint.ways import WAYS
from tests.support.hosts import host

PINNED = '{"provider": {"only": ["deepinfra/fp4"], "allow_fallbacks": false}}'


def test_everything_goes_out_with_every_request_and_secrets_stay(monkeypatch):
    """Body fields with the OpenAI paths, headers and query with all; a host that repeats a header's value is not quoted."""
    monkeypatch.setenv("GATEWAY_KEY", "s3cret-value")
    extras = read_extras(PINNED, ["x-api-key=GATEWAY_KEY"], ["api-version=2026-01"])
    with host(
        lambda asked, _: (400, {"x-said": "s3cret-value"}, json.dumps({"error": str(asked.headers)}).encode())
    ) as running:
        with Client(parse_address(running.address, extras=extras)) as client:
            answers = [client.chat({"messages": [], "max_tokens": 1}), client.get("/props")]
        chat, page = running.asked
    assert chat.body["provider"] == json.loads(PINNED)["provider"]
    assert "provider" not in page.body
    assert all(
        one.headers["x-api-key"] == "s3cret-value" and one.path.endswith("?api-version=2026-01") for one in (chat, page)
    )
    assert not any(b"s3cret" in answer.body or "s3cret" in str(answer.headers) for answer in answers)
    assert "s3cret" not in extras.shown
    assert "x-api-key from GATEWAY_KEY" in extras.shown


@pytest.mark.parametrize(
    ("body", "headers", "query", "said"),
    [
        ('{"temperature": 0}', (), (), "temperature is what requests ask for themselves"),
        ('{"messages": []}', (), (), "messages"),
        ("[1]", (), (), "a JSON object"),
        ("{", (), (), "a JSON object"),
        ("[" * 100_000, (), (), "a JSON object"),
        ("", ("x-key",), (), "NAME=VALUE"),
        ("", ("x-key=sk-123-not-a-name",), (), "never the value itself"),
        ("", ("x key=NAME",), (), "no header"),
        ("", ("Host=NAME",), (), "no header"),
        ("", ("x-a\r\nx-b=NAME",), (), "on one line"),
        ("", (), ("a=b\nc",), "on one line"),
        ("", (), ("=b",), "NAME=VALUE"),
    ],
)
def test_what_cannot_go_out_is_refused(body, headers, query, said):
    """Fields of the audit's own, values in place of names, line breaks."""
    with pytest.raises(UsageError, match=said):
        read_extras(body, headers, query)


@pytest.mark.parametrize("value", ["", "line\nbreak", "caf\u00e9"])
def test_a_header_needs_a_value_that_it_can_carry(monkeypatch, value):
    """From a variable that is set."""
    monkeypatch.setenv("GATEWAY_KEY", value)
    with pytest.raises(UsageError, match="header x-key"):
        read_extras("", ["x-key=GATEWAY_KEY"]).secrets()


def test_every_field_that_questions_set_is_the_audits_own():
    """Whatever way a host is asked in."""
    assert {name for way in WAYS for name in way} <= OWN


def test_a_model_at_a_router_is_pinned_by_its_spelling():
    """No other host may answer, and none that passes parameters over; without a host the router chooses."""
    pinned = parse_address("openrouter:minimax/minimax-m2@deepinfra/fp4")
    assert (pinned.base, pinned.model) == ("https://openrouter.ai/api/v1", "minimax/minimax-m2")
    rule = pinned.extras.body["provider"]
    assert rule == {
        "order": ["deepinfra/fp4"], "only": ["deepinfra/fp4"], "allow_fallbacks": False, "require_parameters": True
    }  # fmt: skip
    assert (pinned.key_variable, pinned.chosen) == ("OPENROUTER_API_KEY", False)
    assert parse_address("openrouter:minimax/minimax-m2", "MINE").key_variable == "MINE"
    assert parse_address("openrouter:minimax/minimax-m2").chosen
    routed = parse_address("hf:MiniMaxAI/MiniMax-M2@novita")
    assert (routed.base, routed.model, routed.chosen) == (
        "https://router.huggingface.co/v1", "MiniMaxAI/MiniMax-M2:novita", False
    )  # fmt: skip
    assert parse_address("hf:MiniMaxAI/MiniMax-M2").chosen
    assert is_address("openrouter:a/b@c")
    for wrong in ("openrouter:model", "openrouter:a/b@", "hf:a/b@c d", "openrouter:a/b@c;d"):
        with pytest.raises(BadSpec):
            parse_address(wrong)
    with pytest.raises(BadSpec, match="pinned by the address"):
        parse_address("openrouter:a/b@c", extras=read_extras(PINNED))


@pytest.mark.parametrize(
    ("told", "same"),
    [
        ("DeepInfra", True),
        ("deepinfra/fp4", True),
        ("Deep Infra", True),
        ("", True),
        ("Novita", False),
        ("Chutes", False),
    ],
)
def test_an_answers_host_is_held_against_the_pinned_one(told, same):
    """Routers write a host's name in one way and its tag in another; one that is not told is not doubted."""
    assert read_extras(PINNED).is_pinned(told) is same
    assert Extras().is_pinned(told)
    assert read_extras('{"provider": {"order": ["deepinfra"]}}').is_pinned("Novita")  # fallbacks are allowed
