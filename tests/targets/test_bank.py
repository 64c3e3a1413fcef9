"""The bank: names become configurations in fp32 arithmetic with the cause that they stand for."""

from __future__ import annotations

import pytest

from harness.errors import FidelityError
from harness.targets.bank import FULL, QUICK, bank_members, honest_members, known_bad, required
from harness.targets.spec import parse_spec

REFERENCE = parse_spec("models/a")


def test_the_null_has_a_centre():
    """fp32 first, then what hosts run."""
    members = honest_members(REFERENCE)
    assert [(m.name, m.spec.runtime.dtype, m.family) for m in members] == [("fp32", "fp32", ""), ("bf16", "bf16", "")]


def test_every_arithmetic_of_the_bank_is_in_the_null():
    """Rule 1: bitsandbytes' int8 runs in fp16, so the reference in fp16 is honest; dated prompts have neighbours."""
    names = [member.name for member in honest_members(REFERENCE, ("bnb:int8",), ("2026-01-14T12:00:00",))]
    assert names == ["fp32", "bf16", "fp16", "fp32 on 2026-01-14"]
    assert honest_members(REFERENCE, (), ("2026-01-14T12:00:00",))[-1].fault == "2026-01-14T12:00:00"


def test_builds_of_eight_bits_enter_at_full_strength_only():
    """By name, before the first reply: what replies say of a size must not decide it."""
    members = bank_members(FULL, REFERENCE)
    near = {member.name for member in members if member.near and not member.fault}
    assert near == {"bnb:int8", "fp8", "ggufq:Q8_0", "kv:e4m3"}
    assert all(member.near for member in members if member.fault)  # how far a prompt lies is not known beforehand


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("rtn:8", True),
        ("rtn:8g16", True),
        ("rtn:6g256", True),
        ("rtn:5", False),
        ("other:models/b", True),
        ("bnb:nf4", False),
    ],
)
def test_nearness_is_a_matter_of_bits_and_not_of_spelling(name, near):
    """Whatever the group; how far another checkpoint lies is not known beforehand."""
    (member,) = bank_members((name,), REFERENCE)
    assert member.near is near


def test_every_member_runs_in_fp32_arithmetic():
    """Weights, prompts and caches change; rounding does not."""
    members = bank_members(FULL, REFERENCE)
    assert {m.spec.runtime.dtype for m in members} == {"fp32"}
    assert {m.family for m in members} == {"quantization", "template", "kv-cache"}
    assert len(QUICK) == 5


def test_another_checkpoint_is_another_model():
    """Its own weights, the same prompts."""
    (member,) = bank_members(("other:models/b",), REFERENCE)
    assert (member.family, member.spec.base) == ("other-model", "models/b")


@pytest.mark.parametrize("names", [("nonsense",), ("prompt:nonsense",), ("rtn:9",), ("fp8", "fp8"), ("gguf",)])
def test_what_means_nothing_is_refused(names):
    """Misspelt, out of range, or twice."""
    with pytest.raises(FidelityError):
        bank_members(names, REFERENCE)


def test_what_must_be_ruled_out_is_fixed_by_kind_and_two_bad_hosts_are_of_different_kinds():
    """Builds of about 8 bits may stay; the second bad host has everything of its kind hidden from the bank."""
    members = bank_members(QUICK, REFERENCE)
    assert required(members) == ("ggufq:Q4_0", "rtn:4g128", "chatml-fallback", "no-generation-prompt")
    listed, hidden, out = known_bad(members)
    assert (listed.name, hidden.name) == ("rtn:4g128", "ggufq:Q4_0")
    assert set(out) == {"ggufq:Q8_0", "ggufq:Q4_0"}
    assert known_bad(bank_members(("fp8", "ggufq:Q8_0"), REFERENCE)) is None
