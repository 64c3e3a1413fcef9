"""Targets that are built from the reference: honest variations of it, rungs of damage, and rebuilt claims."""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness.errors import UsageError
from harness.targets.base import ModelIdentity
from harness.targets.checkpoint.formats.registry import claim_of
from harness.targets.gguf_recipe import NEEDS_IMPORTANCE
from harness.targets.spec import (
    BNB_MODES,
    DEFAULT_GROUP,
    DTYPES,
    GGUF_RECIPES,
    GGUF_TYPES,
    MX_TYPES,
    GgufDetail,
    TargetSpec,
    gguf_detail,
)

_NATIVE = {"F32": "fp32", "BF16": "bf16", "F16": "fp16", "float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}

_WHOLE_ROW = 1 << 20  # a group longer than any row: one scale per row
_CHANNEL = "-channel"  # how that is written in a claim

CLAIMS = (
    *DTYPES, "fp8", *MX_TYPES, *BNB_MODES, *(f"gguf:{name}" for name in GGUF_TYPES), "gguf:Q4_K_M and its like",
    "int4g128 and its like", "int8-channel",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Alternative:
    """A derived target with the name under which it is reported."""

    name: str
    spec: TargetSpec


def native_precision(identity: ModelIdentity) -> str:
    """The number format that most weights of a checkpoint are stored in, as a claim."""
    return _NATIVE.get(identity.dtype, "fp32")


def buildable(reference: TargetSpec) -> bool:
    """Whether other precisions can be derived from this reference: from a plain checkpoint folder, or a GGUF file."""
    return reference.kind in {"plain", "gguf"}


def honest_band(reference: TargetSpec, native: str) -> list[Alternative]:
    """Configurations that an honest host may run: another batch shape, another attention kernel, another dtype.

    They differ from the reference in rounding alone. What the reference itself moves between them is the yardstick
    for everybody else.
    """
    other = 2 if reference.runtime.batch != 2 else 1
    kernel = "eager" if reference.runtime.attention != "eager" else "sdpa"
    band = [
        Alternative(f"batch {other}", reference.with_runtime(batch=other)),
        Alternative(f"{kernel} attention", reference.with_runtime(attention=kernel)),
    ]
    if buildable(reference):
        dtype = "bf16" if native != "bf16" else "fp32"
        band.append(Alternative(dtype, derived(reference, "dtype", dtype)))
    return band


def ladder(reference: TargetSpec, bits: tuple[int, ...]) -> list[Alternative]:
    """The reference rounded to nearest at each bit width, in groups of 64."""
    if not buildable(reference):
        return []
    return [Alternative(f"{b}-bit", derived(reference, "rtn", f"{b}g{DEFAULT_GROUP}")) for b in bits]


def derived(reference: TargetSpec, kind: str, detail: str) -> TargetSpec:
    """The same checkpoint, changed."""
    return TargetSpec(kind, detail, reference.base, reference.runtime, reference.alias)


def rebuild(
    claim: str, reference: TargetSpec, native: str, file: str = "", kinds: tuple[str, ...] = (), importance: str = ""
) -> TargetSpec | None:
    """The specification that rebuilds a claimed precision from the reference; None if the claim is the reference.

    Args:
        claim: what a candidate is sold as.
        reference: from which it is rebuilt.
        native: the reference's own number format, as a claim.
        file: a GGUF file that is sold as what its own tensors are; its types are the claim's.
        kinds: the types of that file's tensors.
        importance: the importance matrix with which the weights were quantized, if one was published.

    Raises UsageError for a claim that cannot be read, or cannot be made without an importance matrix.

    """
    if claim == native:
        return None
    if not importance and claim.startswith("gguf:"):
        _refuse_without_importance(claim.removeprefix("gguf:"), kinds)
    if file and claim.startswith("gguf:"):
        return derived(reference, "ggufq", GgufDetail("", file, importance).text)
    if claim in DTYPES:
        return derived(reference, "dtype", claim)
    if claim == "fp8":
        return derived(reference, "fp8", "")
    if claim in MX_TYPES:
        return derived(reference, "mx", claim)
    if claim in BNB_MODES:
        return derived(reference, "bnb", claim)
    kind, _, detail = claim.partition(":")
    asked = gguf_detail(detail)
    if kind == "gguf" and (asked.file or asked.name in {*GGUF_TYPES, *GGUF_RECIPES}):
        return derived(reference, "ggufq", replace(asked, importance=asked.importance or importance).text)
    if claim.startswith("int") and claim[3:4].isdigit():
        bits, _, group = claim.replace(_CHANNEL, f"g{_WHOLE_ROW}")[3:].partition("g")
        if bits in {"2", "3", "4", "5", "6", "7", "8"} and (not group or (group.isdigit() and int(group) > 1)):
            return derived(reference, "rtn", f"{bits}g{group or DEFAULT_GROUP}")
    raise UsageError(f"the claim {claim!r} cannot be rebuilt from the reference", fix=f"use one of {', '.join(CLAIMS)}")


def _refuse_without_importance(name: str, kinds: tuple[str, ...]) -> None:
    asked = sorted({*kinds, name} & NEEDS_IMPORTANCE)
    if asked:
        raise UsageError(
            f"{asked[0]} is only made with an importance matrix, so the claim cannot be rebuilt without one",
            fix="give the file that was published beside the weights: --imatrix FILE",
        )


def declared_claim(spec: TargetSpec, identity: ModelIdentity) -> tuple[str, str]:
    """The precision that a candidate itself declares and where, or two empty strings.

    A quantization that we applied at the user's request (``bnb:nf4:...``) is as good as declared.
    """
    if spec.kind in {"bnb", "mx"}:
        return spec.detail, "its specification"
    if spec.kind == "rtn":
        return f"int{spec.detail}", "its specification"
    if spec.kind == "fp8":
        return "fp8", "its specification"
    if spec.kind == "ggufq":
        return f"gguf:{spec.detail}", "its specification"
    if spec.kind == "dtype":
        return spec.detail, "its specification"
    if spec.kind == "gguf":
        return str(identity.quantization.get("claim") or native_precision(identity)), "the types of its tensors"
    claim = claim_of(identity.quantization)
    if claim:
        return claim, "its quantization config"
    if not identity.quantization and identity.weight_format == "FP8":
        return "fp8", "the number format of its weights"
    return "", ""
