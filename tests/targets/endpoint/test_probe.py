"""What an endpoint can do is found out by what it does, on a real server and on hosts that only say yes."""

from __future__ import annotations

import json

import pytest

from harness.errors import EndpointUnreachable
from harness.targets.endpoint.address import parse_address
from harness.targets.endpoint.client import Client, Limits
from harness.targets.endpoint.probe import State, probe
from tests.support.hosts import gateway, host


async def no_sleep(_):
    pass


def probed(address: str):
    with Client(parse_address(address), Limits(attempt=20, request=20), sleep=no_sleep) as client:
        return probe(client)


def test_a_real_server_shows_what_it_honours_and_what_it_ignores(llamacpp):
    """llama.cpp: ids, seeds, stops and biases have effect; echo and tools (of this template) are taken and dropped."""
    profile = probed(llamacpp)
    assert profile.engine.startswith("llama.cpp")
    assert profile.requests <= 20
    for name in ("chat", "usage", "max_tokens", "logprobs", "token ids", "logprobs before the temperature", "seed", "stop",
                 "logit_bias", "JSON mode", "stream", "usage in streams", "ids as prompt", "prompts shown"):  # fmt: skip
        assert profile.state(name) is State.YES, name
    assert profile.state("prompt scoring") is State.IGNORED
    assert profile.state("tools") is State.IGNORED
    assert profile.state("n") is State.NO
    assert profile.state("never probed") is State.UNKNOWN


def test_a_host_that_drops_parameters_is_seen_through(llamacpp):
    """It says 200 to everything; effects tell."""
    dropped = {"seed", "stop", "logit_bias", "response_format", "logprobs", "top_logprobs", "stream", "n"}

    def drop(asked, _):
        return gatewayed(asked)

    def gatewayed(asked):
        from tests.support.hosts import pass_on

        asked.body = {name: value for name, value in asked.body.items() if name not in dropped}
        return pass_on(llamacpp.removesuffix("/v1"), asked)

    with host(drop) as running:
        profile = probed(running.address)
    for name in ("stop", "JSON mode", "logprobs", "stream", "n", "seed"):
        assert profile.state(name) is State.IGNORED, name
    assert profile.state("logit_bias") is State.UNKNOWN  # no ids to know a token by


def test_one_stored_answer_for_everybody_is_not_a_seed(llamacpp):
    """Every seed gives the same text: it cannot be told whether a seed is honoured."""
    kept = {}

    def store(asked, reply):
        return kept.setdefault(asked.path, reply) if "chat" in asked.path and reply[0] == 200 else reply

    with gateway(llamacpp.removesuffix("/v1"), store) as running:
        row = next(one for one in probed(running.address).capabilities if one.name == "seed")
    assert row.state is State.UNKNOWN
    assert "stored" in row.detail


@pytest.mark.parametrize(
    "reply",
    [
        (200, {"content-type": "text/html"}, b"<html>welcome</html>"),
        (200, {}, b'{"choices": []}'),
        (200, {}, b'{"choices": [{"message": {"content": null}, "logprobs": {"content": [{"top_logprobs": "x"}]}}]}'),
        (
            200,
            {},
            b'{"choices": [{"message": {"content": 5}}], "usage": {"prompt_tokens": -3, "completion_tokens": "many"}}',
        ),
        (200, {}, b'{"choices": "none", "usage": []}'),
        (200, {}, b"\xff\xfe"),
        (
            200,
            {},
            json.dumps({"choices": [{"logprobs": {"content": [{"top_logprobs": [{"logprob": None}] * 5}]}}]}).encode(),
        ),
        (404, {}, b'{"error": "no such model"}'),
        (422, {}, b'{"detail": [{"loc": []}]}'),
    ],
)
def test_nonsense_makes_rows_and_no_crash(reply):
    """HTML, empty choices, numbers that are none, refusals: nothing is taken for a yes."""
    with host(lambda *_: reply) as running:
        profile = probed(running.address)
    for name in ("logprobs", "token ids", "prompt scoring", "seed", "JSON mode", "usage in streams"):
        assert profile.state(name) is not State.YES, name


def test_nobody_there_is_an_error():
    """Not a table of no."""
    with pytest.raises(EndpointUnreachable):
        probed("http://127.0.0.1:9/v1")
