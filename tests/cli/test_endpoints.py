"""Endpoints on the command line: what is refused before anything is asked, and what several of them come to together."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from harness.cli.endpoint import EndpointOptions
from harness.cli.main import cli
from harness.errors import EndpointUnreachable, UsageError
from harness.targets.spec import Runtime
from tests.support.hosts import host

OPTIONS = {"bank": "quick", "requests": 4, "alpha": 0.02, "key": "", "sampler": "", "controls": True, "budget": "",
           "price": "", "concurrency": 4, "per_minute": 0, "fresh": False}  # fmt: skip


def request(**changes):
    return EndpointOptions(**OPTIONS | changes).request("reference", Runtime())


def test_budgets_prices_and_samplers_are_read():
    """What is not said has no cap."""
    asked = request(budget="tokens=2000, money=0.5", price="0.1/0.6", sampler="top_p=0.9")
    assert asked.caps.tokens == 2000
    assert asked.caps.seconds is None
    assert asked.caps.cost(1_000_000, 1_000_000) == pytest.approx(0.7)
    assert asked.sampler.cut == "top_p"
    assert request().nonce != request().nonce


@pytest.mark.parametrize(
    "changes",
    [{"budget": "tokens"}, {"budget": "tokens=-1"}, {"budget": "tea=1"}, {"budget": "money=1"}, {"price": "1"}, {"alpha": 0},
     {"alpha": 1.5}, {"requests": 0}, {"concurrency": 0}, {"sampler": "top_p=2"}],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_anything_is_asked(changes):
    """With the form in which it is written."""
    with pytest.raises((click.UsageError, UsageError)):
        request(**changes)


def compared(*arguments):
    return CliRunner().invoke(cli, ["compare", *map(str, arguments)], standalone_mode=False)


def test_files_and_endpoints_do_not_mix(tmp_path):
    """Nor candidates with a log, nor nothing at all."""
    for arguments in (
        ("a", "http://127.0.0.1:9", "b"),
        ("a",),
        ("a", "http://127.0.0.1:9", "--replies", tmp_path / "x"),
    ):
        assert isinstance(compared(*arguments).exception, click.UsageError)


@pytest.mark.parametrize(
    ("target", "option", "value"),
    [
        ("http://127.0.0.1:9", "--claim", "fp8"), ("http://127.0.0.1:9", "--gate", "4bit"),
        ("http://127.0.0.1:9", "--suite", "x"), ("http://127.0.0.1:9", "--dtype", "fp32"), ("folder", "--bank", "full"),
        ("folder", "--requests", "3"),
        ("folder", "--budget", "tokens=3"), ("folder", "--honest-control", "auto"), ("--replies=x", "--price", "1/1"),
        ("--replies=x", "--stream", None), ("--replies=x", "--claim", "fp8"),
    ],
)  # fmt: skip
def test_an_option_that_says_nothing_of_what_is_compared_is_refused(target, option, value):
    """Never passed over: whoever writes it believes that it counts."""
    found = compared("a", target, option, *([value] if value else [])).exception
    assert isinstance(found, click.UsageError)
    assert found.message.startswith(f"{option} does not apply to ")


@pytest.mark.slow
def test_several_endpoints_share_alpha_and_one_that_is_down_does_not_end_the_others(smollm, tmp_path):
    """A host that refuses every question is not testable, a dead one is an error, and both count among those asked."""
    with host(lambda *_: (400, {}, b'{"error": {"message": "no"}}')) as running:
        arguments = [
            smollm,
            "http://127.0.0.1:9/v1",
            running.address,
            "--requests",
            2,
            "--results",
            tmp_path,
            "--display",
            "none",
        ]
        found = compared(*arguments)
        assert found.return_value == 4
        assert "OVER ALL: 0 of 2 endpoints" in found.output
        assert "VERDICT: NOT_TESTABLE" in found.output
    assert isinstance(compared(smollm, "http://127.0.0.1:9/v1", "--requests", 2).exception, EndpointUnreachable)
