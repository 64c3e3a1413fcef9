"""The frozen plan of a run: what is asked of whom, in which order, before anything is asked."""

from __future__ import annotations

from functools import cached_property
from typing import Literal

from pydantic import JsonValue

from harness.identity import digest_json
from harness.prompts.sequences import Sequence
from harness.suites.model import Frozen
from harness.targets.spec import Runtime, TargetSpec

Role = Literal["candidate", "band", "claim", "ladder"]


class PlannedTarget(Frozen):
    """A target to score, once, whatever it is needed for.

    ``scope`` is ``all`` sequences or the ``band`` part; ``key`` is unique in the plan; ``role`` is the first purpose
    that asked for it.
    """

    key: str
    label: str
    kind: str
    detail: str
    base: str
    alias: str = ""
    runtime: dict[str, JsonValue]
    role: Role
    scope: Literal["all", "band"]
    digest: str  # content identity of the files behind it

    @property
    def spec(self) -> TargetSpec:
        """The specification, rebuilt."""
        return TargetSpec(self.kind, self.detail, self.base, Runtime(**self.runtime), self.alias)  # type: ignore[arg-type]


class Claimed(Frozen):
    """What a candidate says it is, and the planned target that rebuilds it from the reference.

    ``source`` tells where the claim comes from; ``rebuild`` is empty where the claim is the reference itself or
    cannot be rebuilt (``problem`` then says why).
    """

    candidate: str
    precision: str
    source: str
    rebuild: str = ""
    problem: str = ""


class Plan(Frozen):
    """Everything that decides the outcome of a run, but for the answers."""

    reference: PlannedTarget
    targets: tuple[PlannedTarget, ...]
    claims: tuple[Claimed, ...]
    honest: dict[str, str]  # name of an honest configuration -> key of the target that shows it
    rungs: dict[int, str]  # bits -> key of the target that shows them
    suite: dict[str, JsonValue]
    sequences: tuple[dict[str, JsonValue], ...]
    band: tuple[str, ...]
    vocabulary: int
    policy: dict[str, JsonValue] | None  # the gates that the run is judged by, frozen before anything is measured
    baseline: str  # digest of the baseline that they are held against; empty for none
    estimator: str
    software: dict[str, str]

    @property
    def digest(self) -> str:
        """SHA-256 of the plan; a run is resumed only under the digest that it was started with."""
        return digest_json(self.model_dump(mode="json"))

    @cached_property
    def _items(self) -> tuple[Sequence, ...]:
        return tuple(Sequence.from_json(raw) for raw in self.sequences)

    def items(self) -> list[Sequence]:
        """The sequences, in order."""
        return list(self._items)

    def of(self, target: PlannedTarget) -> list[Sequence]:
        """The sequences that a target is scored on."""
        wanted = set(self.band)
        return [s for s in self.items() if target.scope == "all" or s.key in wanted]

    def target(self, key: str) -> PlannedTarget:
        """A planned target by key."""
        return next(target for target in self.targets if target.key == key)

    def role(self, role: Role) -> list[PlannedTarget]:
        """The planned targets of one role."""
        return [target for target in self.targets if target.role == role]
