"""Policies and their files."""

from __future__ import annotations

import pytest

from harness.errors import UsageError
from harness.verdicts.gates.policy import PRESETS, policy_of, read_policy_file


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_can_be_read(name):
    """The shipped names stand for gates that parse."""
    assert policy_of([name]).gates


def test_the_digest_is_of_what_is_judged_and_not_of_the_name():
    """Two names for the same bounds are the same policy; another bound or error rate is another."""
    one = policy_of(["ear>=98%"], "a")
    assert one.digest == policy_of(["ear>=0.98"], "b").digest
    assert one.digest != policy_of(["ear>=97%"], "a").digest
    assert one.digest != policy_of(["ear>=98%"], "a", 0.01).digest


def test_a_gate_given_twice_counts_once():
    """Otherwise it would pay for itself twice."""
    assert len(policy_of(["ear>=98%", "ear>=0.98", "lossless", "lossless"]).gates) == 2


def test_a_policy_file_may_hold_preset_gates_and_baseline():
    """The keys of the file."""
    found = read_policy_file(
        "version: 1\nname: weekly\npreset: 4bit\nalpha: 0.01\nbaseline: b.json\ngates: [ear>=90%]", "f"
    )
    assert (found.name, found.preset, found.alpha, found.baseline, found.gates) == (
        "weekly", "4bit", 0.01, "b.json", ("ear>=90%",),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version: 2\ngates: []", "version 2"),
        ("version: 0\ngates: []", "no policy version 0"),
        ("gates: [ear>=98%]", "version"),
        ("version: 1\ngate: [ear>=98%]", "did you mean 'gates'"),
        ("version: 1\nalpha: 0", "alpha"),
        ("version: 1\nalpha: 0.9", "alpha"),
        ("version: 1\npreset: 3bit", "preset"),
        ("- a", "no mapping"),
        ("version: 1\n  bad: [", "no YAML"),
        ("version: true\ngates: []", "version"),
        ("version: !!int abc", "no YAML"),
        ("version: 1\nalpha: !!timestamp abc", "no YAML"),
        ("[" * 20_000, "no YAML"),
    ],
)
def test_a_bad_policy_file_is_refused_with_the_key(text, said):
    """Unknown keys, other versions and broken YAML end before anything is measured."""
    with pytest.raises(UsageError) as caught:
        policy_of(list(read_policy_file(text, "policy.yaml").gates))
    assert said in str(caught.value)


def test_an_empty_policy_is_refused():
    """A policy that holds nothing would pass everything."""
    with pytest.raises(UsageError):
        policy_of([])
