"""Candidates' weights are read once, at the start where there is room, and told as counts."""

from __future__ import annotations

import pytest

from harness.errors import BrokenCheckpoint, IncompatibleCandidate
from harness.observations.events import Found, StageStarted
from harness.observations.plan import PlannedTarget
from harness.observations.weights import Weights, told
from harness.targets.spec import parse_spec
from harness.targets.weight_evidence import TensorEvidence, WeightEvidence


def tensor(name, **facts):
    usual = {"shape": (4, 4), "matrix": True, "equal": False, "zeroed": False, "relative_error": 0.1, "scale": 1.0,
             "scaled_error": 0.1, "format_cast": ""}  # fmt: skip
    return TensorEvidence(name=name, **usual | facts)


EVIDENCE = WeightEvidence(
    tensors=(tensor("a", equal=True), tensor("b", format_cast="bf16"), tensor("c", grid="4-bit"), tensor("d")),
    unmatched=(),
)


class Target:
    """A checkpoint whose weights are known; it counts how often they are read."""

    def __init__(self, text, folder, found=EVIDENCE):
        self.spec, self.folder, self.found, self.reads = parse_spec(text), folder, found, 0

    def weights(self, reference, claims=()):
        self.asked = (reference, claims)
        self.reads += 1
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


class Notes:
    """The part of a journal that keeps facts."""

    def __init__(self):
        self.kept = {}

    def noted(self, kind, key):
        return self.kept.get((kind, key))

    def note(self, kind, key, value):
        self.kept[kind, key] = value


@pytest.fixture
def reference(tmp_path):
    """A folder with a hundred bytes of weights."""
    (tmp_path / "model.safetensors").write_bytes(b"x" * 100)
    return Target(str(tmp_path), tmp_path)


def planned(target, role="candidate"):
    spec = target.spec
    return PlannedTarget(key=f"{role}:x", label="x", kind=spec.kind, detail=spec.detail, base=spec.base, alias="",
                         runtime={}, role=role, scope="all", digest="")  # fmt: skip


def test_counts_are_told_and_no_verdict():
    """The reference's own, those in another format, others, and how many of these lie on a grid."""
    assert told(EVIDENCE) == (
        "of 4 weight tensors 1 are the reference's, 1 are its own in another number format, 2 are others, "
        "1 of them on a coarse grid"
    )
    assert (
        told(WeightEvidence(tensors=EVIDENCE.tensors[:1], unmatched=())) == "of 1 weight tensors 1 are the reference's"
    )


def test_what_was_read_at_the_start_is_not_read_again(reference):
    """The fact is told at once, stored when its turn comes, and a run that goes on stores it once."""
    copy, journal = Target(f"dtype:bf16:{reference.folder}", reference.folder), Notes()
    weights = Weights(reference, 100)
    assert [type(event) for event in weights.look(copy)] == [Found]
    assert list(weights.note(journal, planned(copy), lambda _: copy)) == []
    assert list(weights.note(journal, planned(copy), lambda _: copy)) == []
    assert copy.reads == 1
    assert len(journal.kept["weights", "candidate:x"]["tensors"]) == 4


@pytest.mark.parametrize(("text", "room"), [("dtype:bf16:{}", 99), ("{}", 100), ("dtype:bf16:elsewhere", 100)])
def test_without_room_or_for_another_folder_it_is_read_when_it_is_due(reference, text, room):
    """Two models may not fit, the reference itself shows nothing, and another folder has a process of its own."""
    copy, journal = Target(text.format(reference.folder), reference.folder), Notes()
    weights = Weights(reference, room)
    assert list(weights.look(copy)) == []
    assert copy.reads == 0
    events = [type(event) for event in weights.note(journal, planned(copy), lambda _: copy)]
    assert events == [StageStarted, Found]
    assert copy.reads == 1


def test_a_copy_that_cannot_be_built_is_met_again_when_it_is_due(reference):
    """The look ahead ends nothing."""
    copy = Target(f"bnb:nf4:{reference.folder}", reference.folder, BrokenCheckpoint("no"))
    weights = Weights(reference, 100)
    assert list(weights.look(copy)) == []
    with pytest.raises(BrokenCheckpoint):
        list(weights.note(Notes(), planned(copy), lambda _: copy))


def test_only_candidates_are_read(reference):
    """Rungs are known; a reference that cannot be loaded for this says why nothing was compared."""
    copy, journal = Target(f"rtn:4:{reference.folder}", reference.folder), Notes()
    assert list(Weights(reference, 0).note(journal, planned(copy, "ladder"), lambda _: copy)) == []
    assert journal.kept == {}
    copy.found = IncompatibleCandidate("no such architecture")
    assert [type(e) for e in Weights(reference, 0).note(journal, planned(copy), lambda _: copy)] == [StageStarted]
    assert journal.kept["weights", "candidate:x"]["problem"] == "no such architecture"


def test_weights_are_held_against_the_claims_of_their_candidate(reference):
    """Each candidate against what rebuilds its own claims."""
    copy = Target(f"rtn:4:{reference.folder}", reference.folder)
    weights = Weights(reference, 0, {copy.spec: [reference.spec]})
    list(weights.note(Notes(), planned(copy), lambda _: copy))
    assert copy.asked == (reference.spec, [reference.spec])
