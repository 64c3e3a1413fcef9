"""The demonstration's gateway sends a quarter of the requests elsewhere, and the same request always to the same host."""

from __future__ import annotations

import json
import urllib.request

from harness.cli.demo_hosts import ACTS, routed
from harness.verdicts.model import Outcome
from tests.support.hosts import host


def asked(address: str, seed: int | None) -> str:
    body = json.dumps({} if seed is None else {"seed": seed}).encode()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(address + "/v1/chat/completions", body, {"Content-Type": "application/json"})
    with opener.open(request, timeout=600) as answer:
        return answer.read().decode()


def test_a_quarter_goes_to_the_other_host():
    """By the request's own seed; what has none is served as usual."""
    with (
        host(lambda *_: (200, {}, b"usual")) as usual,
        host(lambda *_: (200, {}, b"cheap")) as cheap,
        routed(usual.address.removesuffix("/v1"), cheap.address.removesuffix("/v1")) as address,
    ):
        first = [asked(address, seed) for seed in range(120)]
        assert [asked(address, seed) for seed in range(20)] == first[:20]
        assert 15 <= first.count("cheap") <= 45
        assert asked(address, None) == "usual"


def test_every_act_has_a_verdict_that_is_known_beforehand():
    """One sound host, and three that are not."""
    assert [outcome for _, outcome, _ in ACTS].count(Outcome.WITHIN) == 1
    assert len(ACTS) == 4
