"""A policy: several gates that are judged together, with one error rate, and where they come from."""

from __future__ import annotations

import difflib
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError

from harness.comparisons.model import Result
from harness.errors import UsageError
from harness.identity import digest_json
from harness.verdicts.gates.expression import BITS, Gate, parse_gate

POLICY_VERSION = 1
#: One-sided: an exact 95 % interval misses on one side with this probability.
ALPHA = 0.025
#: What a candidate may be sold as, in gates; measured on real builds in docs/methods/gates.md.
PRESETS: dict[str, tuple[str, ...]] = {
    "lossless": ("kl_ref_cand<=2x band",),
    "8bit": ("bits>=5.7",),
    "4bit": ("bits>=3.6",),
}
#: What "no worse than the baseline" means where nobody says otherwise.
NO_WORSE = ("kl_ref_cand<=1.1x baseline",)


class Policy(Result):
    """Gates with the probability that a candidate at the edge of all of them fails: at most ``alpha``.

    ``name`` tells people which policy it was. The order of the gates is that of the file.
    """

    policy_version: int = POLICY_VERSION
    name: str = ""
    alpha: float = Field(default=ALPHA, gt=0, le=0.25)
    gates: tuple[Gate, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of the gates and the error rate; the name does not count."""
        return digest_json(self.model_dump(mode="json", exclude={"name"}))

    @property
    def needs_baseline(self) -> bool:
        """Whether a gate is held against a baseline."""
        return any(gate.yardstick == "baseline" for gate in self.gates)

    def check_ladder(self, rungs: tuple[int, ...]) -> None:
        """Refuse bounds in bits that lie outside the ladder that will be measured; raises UsageError."""
        for gate in self.gates:
            if gate.key == BITS and not (rungs and min(rungs) <= gate.bound <= max(rungs)):
                reach = f"goes from {min(rungs)} to {max(rungs)} bits" if rungs else "is left out"
                raise UsageError(
                    f"the ladder {reach}", where=gate.text, fix="give --ladder with rungs around the bound"
                )

    @property
    def needs_band(self) -> bool:
        """Whether a gate is held against the honest band."""
        return any(gate.yardstick == "band" for gate in self.gates)


class PolicyFile(Result):
    """The contents of a policy file; see ``docs/methods/gates.md``."""

    version: int = Field(strict=True)
    name: str = Field(default="", max_length=80)
    preset: Literal["lossless", "8bit", "4bit"] | None = None
    alpha: float = Field(default=ALPHA, gt=0, le=0.25)
    baseline: str = ""  # a file, relative to this one
    gates: tuple[str, ...] = ()


def policy_of(texts: list[str], name: str = "", alpha: float = ALPHA) -> Policy:
    """A policy of gates and names of presets; gates that are given twice count once."""
    gates: list[Gate] = []
    for text in texts:
        gates += [parse_gate(part) for part in PRESETS.get(text.strip(), (text,))]
    if not gates:
        raise UsageError("a policy needs a gate", fix=f"give a gate, or one of the presets {', '.join(PRESETS)}")
    return Policy(name=name, alpha=alpha, gates=tuple(dict.fromkeys(gates)))


def read_policy_file(text: str, where: str) -> PolicyFile:
    """Parse a policy file; raises UsageError that names the key."""
    try:
        raw: Any = yaml.safe_load(text)
    except (
        yaml.YAMLError,
        ValueError,
        AttributeError,
        RecursionError,
    ) as error:  # yaml lets its constructors' errors out
        raise UsageError(f"the policy is no YAML: {str(error)[:300]}", where=where) from error
    if not isinstance(raw, dict):
        raise UsageError("the policy is no mapping", where=where, fix="it begins with 'version: 1' and has 'gates:'")
    version = raw.get("version")
    if isinstance(version, int) and not isinstance(version, bool) and version > POLICY_VERSION:
        raise UsageError(f"this policy is of version {version}; this program reads up to {POLICY_VERSION}", where=where,
                         fix="upgrade fidelity-harness, or write the policy for an older version")  # fmt: skip
    try:
        found = PolicyFile.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the file"
        near = difflib.get_close_matches(key, PolicyFile.model_fields, n=1)
        hint = f"did you mean {near[0]!r}?" if near and first["type"] == "extra_forbidden" else ""
        raise UsageError(f"{key}: {first['msg'].lower()}", where=where, fix=hint) from error
    if found.version != POLICY_VERSION:
        raise UsageError(
            f"there is no policy version {found.version}", where=where, fix=f"write version: {POLICY_VERSION}"
        )
    return found
