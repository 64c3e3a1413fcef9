"""A run, told once: one function per stage. The command line, the tests and other programs all come through here.

plan -> files -> prompts -> collect -> judge -> render. Every stage yields events; nobody here knows who listens.
"""

from __future__ import annotations

import platform
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness import __version__
from harness.config import Places, writable
from harness.errors import FidelityError, Interrupted, MissingExtra, TargetRefused
from harness.gating.policies import Judgement, frozen, resolve
from harness.observations.collect import collect_reference, collect_target, halt
from harness.observations.events import Event, Noticed, PlanReady, StageStarted, Stop
from harness.observations.facts import note_files, note_pieces, note_prompts
from harness.observations.journal import Journal, Status
from harness.observations.losses import note_losses
from harness.observations.plan import Plan, PlannedTarget
from harness.observations.planning import Scope, Wanted, encode_items, make_plan, rebuilt_specs
from harness.observations.reference_cache import ReferenceCache
from harness.observations.request import DEFAULT_LADDER, Candidate, Request
from harness.observations.weights import Weights
from harness.prompting.noted import note_tokens_in
from harness.prompts.sequences import Sequence
from harness.reports.build import build_scorecard
from harness.reports.render import write_reports
from harness.reports.scorecard import Scorecard
from harness.reports.tokens import tokens_of
from harness.suites.load import load_suite, text_suite
from harness.suites.model import Suite
from harness.targets.alternatives import rebuild
from harness.targets.checkpoint.target import CheckpointTarget, Workers
from harness.targets.importance import read_importance
from harness.targets.memory import room_for_models
from harness.targets.opening import open_target
from harness.targets.spec import parse_spec

__all__ = ["DEFAULT_LADDER", "Candidate", "Request", "check_request", "compare", "judge"]


@dataclass(slots=True)
class Session:
    """What a run holds open."""

    reference: CheckpointTarget
    candidates: list[CheckpointTarget]
    cache: ReferenceCache
    workers: Workers
    places: Places
    weights: Weights

    def open(self, planned: PlannedTarget) -> CheckpointTarget:
        """The target of a plan's entry; candidates that are open already are not opened twice."""
        known = next((t for t in [self.reference, *self.candidates] if t.spec == planned.spec), None)
        return known or open_target(planned.spec, self.workers, self.places.cache)


def compare(request: Request, places: Places, stop: Stop) -> Generator[Event, None, Scorecard]:
    """Run a comparison from start to finish, resuming an unfinished run of the same plan."""
    judgement = check_request(request)
    writable(places.results, "results")
    writable(places.cache, "cache")
    with Workers(room_for_models()) as workers:
        suite = text_suite(Path(request.suite), request.window) if request.window else load_suite(request.suite)
        profile = request.part or suite.profile(request.profile)
        session = yield from open_session(request, places, workers)
        sequences = yield from encode_items(suite, profile, session.reference, session.cache)
        plan = _plan(request, session, suite, sequences, judgement)
        if judgement:
            judgement.check_plan(plan, session.reference.identity())
        journal = (None if request.fresh else Journal.resume(places.results, plan)) or Journal.create(
            places.results, plan, request.command
        )
        try:
            if judgement and judgement.baseline:
                journal.note("baseline", "all", judgement.baseline.model_dump(mode="json"))
            yield from run(plan, suite, session, journal, stop)
        except BaseException as error:
            status: Status = "interrupted" if isinstance(error, Interrupted | KeyboardInterrupt) else "error"
            problem = error.problem if isinstance(error, FidelityError) else type(error).__name__
            journal.set_status(status, problem)
            raise
        finally:
            journal.close()
    yield StageStarted("report", "judging and writing the report")
    return judge(journal.folder)


def check_request(request: Request) -> Judgement | None:
    """Refuse what can be refused without opening anything: misspelt gates and claims, unreadable baselines."""
    judgement = resolve(request.gates, request.baseline)
    if judgement:
        judgement.check_run(request.ladder, band=request.band)
    for candidate in request.candidates:
        if candidate.claim and "+" not in candidate.claim:  # a mixture of types can only be the candidate's own
            rebuild(candidate.claim, parse_spec(request.reference), "", importance=request.importance)
    if request.importance:
        read_importance(Path(request.importance))
    return judgement


def open_session(request: Request, places: Places, workers: Workers) -> Generator[Event, None, Session]:
    """Read the files of every target, then load the reference: what is refused is refused before anything runs."""
    yield StageStarted("files", "reading and hashing the files of every target")
    reference = open_target(parse_spec(request.reference, request.runtime), workers, places.cache)
    candidates = [open_target(parse_spec(c.spec, request.runtime), workers, places.cache) for c in request.candidates]
    yield StageStarted("reference", f"loading {reference.spec.label} in an isolated process")
    declared = reference.identity().quantization
    if declared.get("quant_method") == "gguf":
        yield Noticed(
            f"the reference is itself quantized ({declared['claim']}): what is measured is the distance from it"
        )
    cache = ReferenceCache(places.cache, reference, reference.capabilities(), request.reference_cache)
    cache.prepare()
    if cache.kind == "sketch" and request.reference_cache == "auto":
        yield Noticed("the reference's head cannot be replayed apart from the model; it is kept as a sketch")
    wanted = [Wanted(t, c.claim) for t, c in zip(candidates, request.candidates, strict=True)]
    claims = rebuilt_specs(wanted, reference, request.importance) if request.rebuild else {}
    weights = Weights(reference, workers.room, claims)
    for first in candidates[:1]:
        yield from weights.look(first)
    return Session(reference, candidates, cache, workers, places, weights)


def run(plan: Plan, suite: Suite, session: Session, journal: Journal, stop: Stop) -> Iterator[Event]:
    """Collect everything that the plan asks for and the journal does not hold."""
    items = plan.items()
    passes = sum(s.scored for s in items) + sum(s.scored for t in plan.targets for s in plan.of(t))
    resumed = any(journal.finished(target.key) for target in plan.targets)
    tokens = sum(s.scored for s in items)
    yield PlanReady(journal.folder.name, len(plan.targets), tokens, len({s.cluster for s in items}), passes, resumed)
    note_files(journal, plan, suite, session.reference, session.candidates)
    for event in collect_reference(plan, session.cache):
        yield event
        halt(stop, journal)
    yield from note_tokens_in(journal, plan, session.reference, session.candidates, session.workers, session.places)
    blocked = yield from note_prompts(journal, plan, suite, session.reference, session.candidates)
    for planned in plan.targets:
        if planned.key in blocked:
            yield Noticed(f"{planned.label} is not scored: {blocked[planned.key]}; its bits per byte are measured")
            note_losses(journal, plan, suite, planned, session.open(planned), session.reference)
            continue
        try:
            yield from session.weights.note(journal, planned, session.open)
            for event in collect_target(plan, planned, session.open, session.cache, journal):
                yield event
                halt(stop, journal)
        except (TargetRefused, MissingExtra) as error:
            if planned.role == "candidate":
                raise
            # a yardstick that cannot be had is missing from the report; it must not cost the candidates their verdict
            session.workers.drop(planned.spec.base)
            reason = f"{error.problem}; {error.fix}" if isinstance(error, MissingExtra) else error.problem
            journal.note("left_out", planned.key, reason)
            yield Noticed(f"{planned.label} is left out: {reason}")
    note_pieces(journal, plan, session.reference)
    journal.set_status("complete")


def judge(folder: Path) -> Scorecard:
    """Judge a stored run again and rewrite its reports; needs no model."""
    journal = Journal.open(folder.parent, str(folder))
    try:
        scorecard = build_scorecard(journal)
        write_reports(scorecard, folder, tokens_of(journal))
    finally:
        journal.close()
    return scorecard


def _plan(
    request: Request, session: Session, suite: Suite, sequences: list[Sequence], judgement: Judgement | None
) -> Plan:
    software = {
        "fidelity": __version__,
        "platform": platform.platform(terse=True),
        "machine": platform.machine(),
        **session.reference.capabilities().versions,
    }
    wanted = [Wanted(t, c.claim) for t, c in zip(session.candidates, request.candidates, strict=True)]
    kept = session.cache.estimator
    scope = Scope(
        request.band, request.ladder, *frozen(judgement), request.rebuild, kept, request.part, request.importance
    )
    vocabulary = min(session.reference.vocabulary(), session.reference.capabilities().vocabulary)
    return make_plan(session.reference, wanted, suite, request.profile, sequences, vocabulary, software, scope)
