"""``fidelity plan``: requests, tokens and money before anybody is asked, and the question turned around."""

from __future__ import annotations

import re

import click
import pytest
from click.testing import CliRunner

from harness.cli.main import cli
from harness.config import Places


def plan(*arguments):
    """The output of the verb."""
    result = CliRunner().invoke(cli, ["plan", *map(str, arguments)], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.output


def requests(output):
    return int(re.search(r"within ([\d,]+) requests", output).group(1).replace(",", ""))


def test_a_near_build_takes_longer_than_a_far_one_and_a_part_longer_than_all():
    """And the price follows the tokens."""
    far, near, part = plan("--kl", 0.3), plan("--kl", 0.002), plan("--kl", 0.3, "--share", 0.1)
    assert requests(far) <= 4
    assert requests(near) > 50
    assert requests(part) > requests(far)
    assert " at 2 per million" in plan("--kl", 0.002, "--price", 2)


def test_a_budget_says_what_it_would_miss():
    """The smallest divergence found, and that builds outside the bank may never be."""
    output = plan("--budget", 5000)
    assert "nat/token on with 95% probability" in output
    assert "outside the bank" in output


@pytest.mark.slow
def test_a_suspected_build_and_its_charge_are_measured_here(smollm, monkeypatch):
    """Q4_0 of the real model: a divergence with an interval over 6 replies, and what text without ids costs (of 8 draws)."""
    monkeypatch.setenv("FIDELITY_CACHE", str(Places.default().cache))
    monkeypatch.setattr("harness.auditing.planning._QUESTIONS", 6)
    monkeypatch.setattr("harness.auditing.preparing.DRAWS", 8)
    output = plan(smollm, "--suspect", "ggufq:Q4_0", "--threads", 1, "--access", "text")
    value = float(re.search(r"ggufq:Q4_0: ([\d.]+) nat/token", output).group(1))
    assert 0.1 < value < 1.5
    assert requests(output) <= 10
    assert re.search(r"less [\d.]+ nat per reply of \d+ tokens without ids", output)


@pytest.mark.slow
def test_told_log_probabilities_need_far_fewer_requests(smollm, monkeypatch):
    """A 4-bit build: few requests, though no single one counts for more than a bounded factor."""
    monkeypatch.setenv("FIDELITY_CACHE", str(Places.default().cache))
    monkeypatch.setattr("harness.auditing.planning._QUESTIONS", 8)
    output = plan(smollm, "--suspect", "ggufq:Q4_0", "--threads", 1, "--access", "logprobs", "--power", 0.9)
    assert 6 <= requests(output) <= 12
    assert "honest arithmetic lies" in output


def test_a_stated_charge_lengthens_the_plan():
    """As it will the audit."""
    assert requests(plan("--kl", 0.01, "--access", "text", "--charge", 0.2)) > requests(plan("--kl", 0.01))


@pytest.mark.parametrize(
    "arguments",
    [(), ("--suspect", "fp8"), ("--kl", 0.1, "--share", 0), ("--kl", 0.1, "--alpha", 2), ("--kl", -1),
     ("--kl", 0.1, "--access", "text"), ("--kl", 0.1, "--charge", 0.1),
     ("--kl", 0.1, "--access", "logprobs"), ("--kl", 0.001, "--access", "text", "--charge", 2)],
)  # fmt: skip
def test_what_cannot_be_planned_is_refused(arguments):
    """Nothing to plan for, no reference, impossible probabilities."""
    with pytest.raises(click.UsageError):
        plan(*arguments)
