"""The alternative bank: what a host may serve instead of the reference, each built from the reference alone.

All members run in fp32 arithmetic, so that what separates them is their weights or their prompt and not rounding; the
honest configurations are the reference in the number formats that hosts use. One model is in memory at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.errors import UsageError
from harness.prompts.faults import fault
from harness.targets.alternatives import derived
from harness.targets.spec import DTYPES, TargetSpec, parse_spec

#: The reference in fp32 arithmetic: the centre of the null, always present.
CENTRE = "fp32"
HONEST = (CENTRE, "bf16")
#: Builds of about 8 bits: fixed by kind before the first request, because what replies say of them may not choose.
_NEAR = {
    "bnb": {"int8"},
    "fp8": {""},
    "mx": {"mxfp8"},
    "ggufq": {"Q8_0", "Q6_K"},
    "kv": {"e4m3", "q8_0", "q8_0-unrotated"},
    "dtype": set(DTYPES),
}
_BITS_OF_NEAR = 6
_IN_FP16 = frozenset({"bnb:int8"})
QUICK = ("ggufq:Q8_0", "ggufq:Q4_0", "rtn:4g128", "prompt:chatml-fallback", "prompt:no-generation-prompt")
FULL = (
    "bnb:int8", "fp8", "ggufq:Q8_0", "ggufq:Q5_0", "ggufq:Q4_0", "bnb:nf4", "rtn:4g128", "kv:e4m3", "kv:q4_0",
    "kv:q4_0-unrotated",
    "prompt:chatml-fallback",
    "prompt:no-generation-prompt", "prompt:hidden-system", "prompt:double-bos", "prompt:last-newline-lost",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class BankMember:
    """One configuration to score replies under: how the weights are changed, and which fault the prompt has.

    ``family`` is the cause that would be named: quantization, template or other-model; empty for honest configurations.
    ``fault`` names the rendering of its prompts: a fault, or what honest hosts make otherwise: another day, another
    way to join text parts.
    ``near`` members lie so near to the reference, or may, that honest rounding could lean their way: they enter at full
    strength only, and with the wider tolerance.
    """

    name: str
    family: str
    spec: TargetSpec
    fault: str = ""
    near: bool = False


def honest_members(reference: TargetSpec, bank: tuple[str, ...] = (), days: Sequence[str] = ()) -> list[BankMember]:
    """The configurations of the null, the centre first.

    Every arithmetic in which a member of the bank is computed is one of them (bitsandbytes' int8 runs in fp16), and the
    reference's own prompts on each of ``days`` beside the day of asking, because hosts live in other time zones.
    """
    dtypes = [*HONEST, *(["fp16"] if any(name in _IN_FP16 for name in bank) else [])]
    found = [BankMember(dtype, "", reference.with_runtime(dtype=dtype)) for dtype in dtypes]
    return [*found, *(BankMember(f"fp32 on {day[:10]}", "", found[0].spec, day) for day in days)]


def honest_reading(reference: TargetSpec, name: str) -> BankMember:
    """The centre with prompts of another name, which an honest host may make as well."""
    return BankMember(f"{CENTRE}, {name}", "", reference.with_runtime(dtype=CENTRE), name)


def bank_members(names: tuple[str, ...], reference: TargetSpec) -> list[BankMember]:
    """Members by name: a change of the reference (``ggufq:Q8_0``), a fault of its prompt (``prompt:NAME``), or a checkpoint.

    Raises UsageError for a name that means nothing, twice the same, or a change of another checkpoint.
    """
    centre = reference.with_runtime(dtype="fp32")
    found = []
    for name in names:
        kind, _, detail = name.partition(":")
        if kind == "prompt":
            found.append(BankMember(fault(detail).name, "template", centre, detail, near=True))
        elif kind == "other":
            found.append(BankMember(name, "other-model", parse_spec(detail, centre.runtime), near=True))
        else:
            spec = parse_spec(f"{name}:{reference.base}", centre.runtime)
            if not spec.derived:
                raise UsageError(f"the bank has no {name!r}", fix=f"use any of {', '.join(FULL)}, or other:PATH")
            family = "kv-cache" if spec.kind == "kv" else "quantization"
            found.append(BankMember(name, family, derived(centre, spec.kind, spec.detail), near=_near(spec)))
    if len({member.name for member in found}) < len(found):
        raise UsageError("the bank names a member twice")
    return found


def required(members: Sequence[BankMember]) -> tuple[str, ...]:
    """What must be ruled out before a host is cleared: everything but builds of about 8 bits, by kind and not by replies."""
    builds = {"quantization", "kv-cache"}
    return tuple(m.name for m in members if m.family and not (m.near and m.family in builds))


def known_bad(members: Sequence[BankMember]) -> tuple[BankMember, BankMember, tuple[str, ...]] | None:
    """Two builds that an audit must be able to find: one with the whole bank, one with its whole kind hidden, and what that is.

    None without a far build in the bank. With a single kind of far builds both are of that kind, and the second is likely
    to be missed: such a bank clears nobody.
    """
    far = [m for m in members if m.family == "quantization" and not m.near]
    if not far:
        return None
    hidden = far[0]
    listed = next((m for m in far if m.spec.kind != hidden.spec.kind), far[0])
    return (
        listed,
        hidden,
        tuple(m.name for m in members if m.family and m.spec.kind == hidden.spec.kind and not m.fault),
    )


def _near(spec: TargetSpec) -> bool:
    """Whether a build lies about as near to the reference as 8 bits do."""
    if spec.kind == "rtn":
        return int(spec.detail.partition("g")[0]) >= _BITS_OF_NEAR
    return spec.detail in _NEAR.get(spec.kind, set())
