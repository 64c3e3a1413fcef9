"""Hosts that refuse what they do not know are asked more plainly, one thing after another, and not for what may pass."""

from __future__ import annotations

import json

import pytest

from harness.suites.requests import Calling
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
            return status, {}, b'{"error": {"message": "unknown field"}}'
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
    assert "left out" in source.notes[0]
    assert len(source.notes) == 1  # neutral settings are still sent
    assert field not in bodies[-1]


def test_only_what_stands_in_every_request_is_left_out_of_all():
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
