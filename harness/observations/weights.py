"""Candidates' weights held against the reference's, each read once: at the very start where there is room, else when it is due.

A candidate's weights are read before it is scored, because some formats are repacked when they first run; it stays loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from harness.errors import FidelityError, IncompatibleCandidate
from harness.observations.events import Event, Found, StageStarted
from harness.observations.journal import Journal
from harness.observations.plan import PlannedTarget
from harness.targets.checkpoint.target import CheckpointTarget
from harness.targets.spec import TargetSpec
from harness.targets.weight_evidence import WeightEvidence


class Weights:
    """What was read in a run.

    ``room`` is how many bytes of models may stay in memory beside the one in use; ``claims`` are the specifications that
    rebuild what candidates claim, which their weights are held against, too.
    """

    def __init__(
        self, reference: CheckpointTarget, room: int, claims: Mapping[TargetSpec, Sequence[TargetSpec]] | None = None
    ) -> None:
        self._reference = reference
        self._room = room
        self._claims = claims or {}
        self._read: dict[TargetSpec, WeightEvidence] = {}

    def look(self, first: CheckpointTarget) -> Iterator[Event]:
        """Read the candidate that is scored first at once, if it fits beside the reference: a first fact within seconds.

        Only a copy of the reference's own checkpoint, which shares its process; it stays there, so nothing is loaded twice.
        """
        size = sum(file.stat().st_size for file in self._reference.folder.glob("*.safetensors"))
        copy = first.spec.base == self._reference.spec.base and first.spec != self._reference.spec
        if not copy or first.spec.runtime.device != "cpu" or not 0 < size <= self._room:
            return
        try:
            yield from self._of(first)
        except FidelityError:  # it is met again when it is due, and told then
            return

    def note(
        self, journal: Journal, planned: PlannedTarget, open_target: Callable[[PlannedTarget], CheckpointTarget]
    ) -> Iterator[Event]:
        """Store the tensor-by-tensor comparison of a candidate; of other targets nothing."""
        if planned.role != "candidate" or journal.noted("weights", planned.key) is not None:
            return
        if planned.spec not in self._read:
            yield StageStarted("weights", f"reading the weights of {planned.label}")
            yield from self._of(open_target(planned))
        journal.note("weights", planned.key, self._read[planned.spec].model_dump(mode="json"))

    def _of(self, target: CheckpointTarget) -> Iterator[Event]:
        try:
            found = target.weights(self._reference.spec, self._claims.get(target.spec, ()))
        except IncompatibleCandidate as error:
            found = WeightEvidence(tensors=(), unmatched=(), problem=error.problem)
        self._read[target.spec] = found
        if found.tensors and not found.problem:
            yield Found(target.spec.label, told(found))


def told(evidence: WeightEvidence) -> str:
    """What weights show at first sight, as counts and not as a verdict."""
    tensors = evidence.tensors
    equal, cast = sum(t.equal for t in tensors), sum(bool(t.format_cast) and not t.equal for t in tensors)
    others, on_grid = len(tensors) - equal - cast, sum(bool(t.grid) for t in tensors)
    parts = [f"of {len(tensors)} weight tensors {equal} are the reference's"]
    parts += [f"{cast} are its own in another number format"] if cast else []
    parts += [f"{others} are others" + (f", {on_grid} of them on a coarse grid" if on_grid else "")] if others else []
    return ", ".join(parts)
