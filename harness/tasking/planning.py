"""The frozen plan of a task run: which requests, of whom, in which shape, judged how."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from pydantic import Field, JsonValue

from harness.identity import digest_json
from harness.suites.model import Frozen
from harness.suites.requests import Asked, Calling, Continuation, Rolling, Writing
from harness.suites.scores import TaskHead

#: How a note begins that tells why requests have no answer yet.
MISSING = "some requests were "
Role = Literal["reference", "control", "candidate"]
_OPENINGS, _TOGETHER = 8, 64  # openings of one step, and continuations of one opening: what a stop has to wait for


class TaskTarget(Frozen):
    """Who is asked. ``rows`` requests run together; ``shared`` computes what continuations share once."""

    key: str
    label: str
    role: Role
    spec: str  # as shown: without the folders above it
    digest: str  # content identity of weights, configuration and tokenizer
    prompts: str  # digest of template, special tokens, stops and generation settings
    runtime: dict[str, JsonValue]
    rows: int
    shared: bool


class TaskPlan(Frozen):
    """Everything that decides a task run but for the answers."""

    kind: Literal["tasks", "tools"] = "tasks"
    names: tuple[str, ...]
    tasks: tuple[TaskHead, ...]
    chat: bool
    limit: int  # items per task, 0 for all
    requests: str  # digest of all requests
    targets: tuple[TaskTarget, ...]
    alpha: float = Field(gt=0, lt=0.5)
    margin: float = Field(gt=0, lt=1)
    seed: int
    day: str  # of asking endpoints, which change; empty where none is asked
    software: dict[str, str]

    @property
    def digest(self) -> str:
        """SHA-256 of the plan; a run is resumed only under the digest that it was started with."""
        return digest_json(self.model_dump(mode="json"))

    @property
    def candidates(self) -> list[TaskTarget]:
        """Those under test, in the user's order."""
        return [target for target in self.targets if target.role == "candidate"]


def requests_digest(asked: Sequence[Asked]) -> str:
    """Identity of what is asked, whoever is asked."""
    return digest_json([one.model_dump(mode="json") for one in asked])


def steps(asked: Sequence[Asked], rows: int) -> Iterator[list[Asked]]:
    """Requests in the order in which every target answers them: long ones first, those with the same opening together.

    A step is asked and stored at once.
    """
    scored = [one for one in asked if isinstance(one, Continuation)]
    openings: dict[str, list[Asked]] = {}
    for one in sorted(scored, key=lambda one: (-one.opening.size, one.key)):
        openings.setdefault(one.opening.model_dump_json(), []).append(one)
    few = [group for group in openings.values() if len(group) <= _TOGETHER]
    for start in range(0, len(few), _OPENINGS):
        yield [one for group in few[start : start + _OPENINGS] for one in group]
    for group in (group for group in openings.values() if len(group) > _TOGETHER):
        for start in range(0, len(group), _TOGETHER):
            yield group[start : start + _TOGETHER]
    for whole in (one for one in asked if isinstance(one, Rolling)):
        yield [whole]
    kinds: dict[tuple[int, float], list[Writing]] = {}
    for written in (one for one in asked if isinstance(one, Writing)):
        kinds.setdefault((written.limit, written.temperature), []).append(written)
    for alike in kinds.values():
        alike.sort(key=lambda one: (-one.opening.size, one.key))
        for start in range(0, len(alike), rows):
            yield list(alike[start : start + rows])
    offers = [one for one in asked if isinstance(one, Calling)]
    for start in range(0, len(offers), rows):
        yield list(offers[start : start + rows])
