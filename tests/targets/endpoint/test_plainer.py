"""Hosts that refuse what they do not know are asked more plainly, one thing after another, and not for what may pass."""

from __future__ import annotations

import json

import pytest

from harness.suites.requests import Calling, Opening, Writing
from harness.targets.endpoint.address import parse_address
from harness.targets.endpoint.answers import UNREACHED, EndpointAnswers
from harness.targets.endpoint.client import Client
from tests.support.hosts import host

TOOL = {"type": "function", "function": {"name": "x", "parameters": {"type": "object"}}}
USER = {"role": "user", "content": "Hi"}


def calling(key, *, stream=False, reasoned=False):
    turns = ({"role": "assistant", "content": "", "reasoning_content": "hm"},) if reasoned else ()
    return Calling(key=key, messages=(USER, *turns), tools=(TOOL,), stream=stream, limit=8)


def strict(*refused, status=422):
    """A host that refuses fields, in the request or in its messages."""

    def answer(asked, _):
        fields = set(asked.body) | {name for message in asked.body["messages"] for name in message}
        if fields & set(refused):
            wanted = "max_completion_tokens" if "max_tokens" in refused else ", ".join(refused)
            return status, {}, json.dumps({"error": {"message": f"no such model or field: {wanted}"}}).encode()
        body = {"choices": [{"finish_reason": "stop", "message": {"content": "yes"}}]}
        return 200, {}, json.dumps(body).encode()

    return host(answer)


def asked(running, *requests):
    with running as found, Client(parse_address(found.address)) as client:
        source = EndpointAnswers(client, 4, None, 0)
        return source.answer(requests), [one.body for one in found.asked], source


@pytest.mark.parametrize(
    ("field", "request_"),
    [
        ("stream_options", calling("a", stream=True)),
        ("reasoning_content", calling("a", reasoned=True)),
        ("seed", calling("a")),
        ("max_tokens", calling("a")),
    ],
)
def test_what_a_host_refuses_is_left_out_and_noted(field, request_):
    """It answers, and the report says that it was asked otherwise."""
    found, bodies, source = asked(strict(field), calling("first"), request_)
    assert [one.text for one in found] == ["yes", "yes"]
    assert f"refuses {field}" in source.notes[0]
    assert len(source.notes) == 1  # neutral settings are still sent
    assert field not in bodies[-1]


def test_only_what_a_host_names_is_left_out():
    """A host that refuses the reasoning of earlier turns still gets seeds, and usage of streams."""
    found, bodies, _ = asked(
        strict("reasoning_content"), calling("a"), calling("b", reasoned=True), calling("c", stream=True)
    )
    assert all(one.text == "yes" for one in found[:2])
    assert all("seed" in body and "max_tokens" in body for body in bodies)
    assert any("stream_options" in body for body in bodies)


def test_a_host_that_refuses_tools_is_not_asked_over_and_over():
    """Once it has taken one request, a refusal is about what is special in another."""
    refusing = strict("tools")
    with refusing as running, Client(parse_address(running.address)) as client:
        source = EndpointAnswers(client, 4, None, 0)
        source._settled = True
        source.answer([calling("a"), calling("b")])
        assert len(running.asked) == 2


@pytest.mark.parametrize("status", [402, 404])
def test_no_credit_and_no_such_model_are_nobodys_answers(status):
    """The host is not asked any further, and nothing is stored."""
    found, bodies, source = asked(strict("tools", status=status), *(calling(str(n)) for n in range(6)))
    assert all(one.lost.startswith(UNREACHED) for one in found)
    assert source.ended
    assert len(bodies) == 1


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": {"code": 429, "message": "busy"}}',
        b'data: {"error": {"code": 502, "message": "upstream"}}\n\ndata: [DONE]\n\n',
    ],
)
def test_errors_that_may_pass_are_asked_again_whatever_their_status(body):
    """Gateways send them with 200."""
    found, _, _ = asked(host(lambda *_: (200, {}, body)), calling("a"))
    assert found[0].lost.startswith(UNREACHED)


def test_a_limit_is_not_renamed_because_a_prompt_is_too_long():
    """Hosts that do not know the new name would write as much as they like, or as little."""

    def answer(asked, _):
        if "max_tokens" in asked.body:
            return 400, {}, b'{"error": {"message": "\'max_tokens\' is too large: the context has 2048 tokens"}}'
        return 200, {}, json.dumps({"choices": [{"text": "x", "finish_reason": "length"}]}).encode()

    writing = Writing(key="a", opening=Opening(text="x" * 9000), until=(), limit=64)
    found, bodies, source = asked(host(answer), writing)
    assert found[0].lost.startswith("refused")
    assert all("max_tokens" in body for body in bodies)
    assert not source._left_out


def test_one_feature_that_is_not_there_does_not_end_a_host():
    """Gateways answer 404 for a choice that no host behind them has."""

    def answer(asked, _):
        if "tool_choice" in asked.body:
            return 404, {}, b'{"error": {"message": "no endpoints found that support tool_choice of this model"}}'
        return 200, {}, json.dumps({"choices": [{"finish_reason": "stop", "message": {"content": "yes"}}]}).encode()

    forced = calling("b").model_copy(update={"choice": "required"})
    found, _, source = asked(host(answer), calling("a"), forced, calling("c"))
    assert [one.lost[:8] for one in found] == ["", "refused:", ""]
    assert not source.ended


@pytest.mark.parametrize(
    ("choice", "begins"),
    [
        ({"finish_reason": "error", "error": {"code": 502}, "message": {"content": ""}}, UNREACHED),
        ({"finish_reason": "insufficient_system_resource", "message": {"content": ""}}, UNREACHED),
        ({"finish_reason": "stop", "error": {"code": "429"}, "message": {"content": ""}}, UNREACHED),
        ({"finish_reason": "content_filter", "message": {"content": "x"}}, "the host ended"),
    ],
)
def test_ends_that_no_model_made_are_no_replies(choice, begins):
    """Of a host that failed, and of one that did not let its model speak."""
    found, _, _ = asked(host(lambda *_: (200, {}, json.dumps({"choices": [choice]}).encode())), calling("a"))
    assert found[0].lost.startswith(begins)
