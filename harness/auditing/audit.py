"""The audit of an endpoint by its text, told once: plan, ask, score, weigh, judge."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from harness import __version__
from harness.auditing.asking import NO_IDS, PARTED, Scorable, ask_all, render_all, scorable
from harness.auditing.store import AuditFolder
from harness.comparisons.audit import AuditFacts, weigh_replies
from harness.config import Places
from harness.errors import NoChatTemplate
from harness.observations.events import Event, Noticed, StageStarted
from harness.observations.reference_cache import ReferenceCache
from harness.observations.rescore import Evidence, rescore
from harness.prompting.evidence import family_of
from harness.prompts.jinja.process import PromptProcess
from harness.prompts.questions import draw_questions, questions_digest
from harness.prompts.variants import Bench
from harness.reports.audit_card import AuditCard, AuditPlan
from harness.targets.bank import QUICK, bank_members, honest_members
from harness.targets.checkpoint.target import CheckpointTarget, Workers
from harness.targets.endpoint.client import Client
from harness.targets.endpoint.replies import Reply
from harness.targets.opening import open_target
from harness.targets.prompt_source import open_prompt_source
from harness.targets.spec import Runtime, TargetSpec, parse_spec
from harness.targets.token_evidence import TokenEvidence, empty_evidence
from harness.verdicts.audit import judge_replies


@dataclass(frozen=True, slots=True)
class AuditRequest:
    """What is asked of an audit; all of it is fixed before the first request."""

    reference: str
    requests: int = 32
    tokens: int = 64  # of output, at most, per request
    bank: tuple[str, ...] = QUICK
    alpha: float = 0.01
    nonce: str = ""
    runtime: Runtime = field(default_factory=Runtime)


def audit_endpoint(
    request: AuditRequest, client: Client, places: Places
) -> Generator[Event, None, tuple[AuditCard, Path]]:
    """Ask an endpoint for text and judge whether the reference wrote it; returns the card and the folder that keeps it.

    Raises a TargetRefused for a reference without a chat template, or whose head cannot be replayed.
    """
    cache = places.cache
    source = open_prompt_source(request.reference, cache)
    if not source.renders or source.tokenizer is None:
        raise NoChatTemplate(
            "an endpoint is compared with a reference that has a chat template and a tokenizer",
            where=source.name,
            fix="give the reference checkpoint's folder",
        )
    spec = parse_spec(request.reference, request.runtime)
    members = [*honest_members(spec), *bank_members(request.bank, spec)]
    questions = draw_questions(request.requests, request.nonce)
    plan = AuditPlan(
        reference=source.name, endpoint=client.address.shown, requests=request.requests, tokens=request.tokens,
        bank=request.bank, alpha=request.alpha, nonce=request.nonce, questions=questions_digest(),
        template=source.template_digest, tokenizer=source.tokenizer_digest,
    )  # fmt: skip
    folder = AuditFolder.create(places.results, plan)

    def finished(facts: AuditFacts | None, scored: list[Scorable], untestable: str = "") -> tuple[AuditCard, Path]:
        axes = judge_replies(facts, untestable)
        card = AuditCard(fidelity_version=__version__, plan=plan, losses=_losses(scored), facts=facts, axes=axes)
        folder.keep_card(card)
        return card, folder.folder

    with Workers() as workers:
        centre = open_target(members[0].spec, workers, cache)
        yield StageStarted("asking", f"{request.requests} questions, at most {request.tokens} tokens each")
        replies = yield from ask_all(client, questions, request.tokens)
        folder.keep_replies(replies)
        silent = centre.silent()
        stop = next(iter(centre.identity().stop_ids), int(np.flatnonzero(silent)[0]))
        scored = scorable(replies, centre, silent, stop)
        lost = [number for number, one in enumerate(scored) if one.lost]
        untestable = _untestable(replies, scored)
        if untestable:
            return finished(None, scored, untestable)
        if lost:
            yield Noticed(f"{len(lost)} of {len(replies)} replies cannot be scored: {scored[lost[0]].lost}")
        with PromptProcess() as process:
            bench = Bench(process, family_of(source), source.tokenizer)
            renderings = render_all(bench, questions, scored, [m.fault for m in members if m.fault])
        yield StageStarted("scoring", f"{len(members)} configurations, one model in memory at a time")
        opened: dict[TargetSpec, CheckpointTarget] = {members[0].spec: centre}

        def opening(wanted: TargetSpec) -> CheckpointTarget:
            return opened.setdefault(wanted, open_target(wanted, workers, cache))

        kept = ReferenceCache(cache, centre, centre.capabilities(), "hidden")
        kept.prepare()
        evidence = _every_reply((yield from rescore(members, renderings, opening, kept, silent)), scored)
    folder.keep_evidence(members, evidence, scored)
    families = {member.name: member.family for member in members if member.family}
    honest = [member.name for member in members if not member.family]
    return finished(weigh_replies(evidence, honest, families, lost, plan.alpha, plan.seed), scored)


def _every_reply(evidence: Evidence, scored: list[Scorable]) -> Evidence:
    """Rows for every request of the plan, none for those without scored tokens."""
    found: Evidence = {}
    for name, rows in evidence.items():
        left = iter(rows)
        found[name] = [next(left) if one.ids else _nothing() for one in scored]
    return found


def _nothing() -> TokenEvidence:
    return empty_evidence(0)


def _untestable(replies: list[Reply], scored: list[Scorable]) -> str:
    """Why the text says nothing about weights, or an empty string."""
    if any(reply.parted for reply in replies):
        return f"{PARTED}; ask for raw text."
    if all(one.lost for one in scored):
        return f"No reply can be scored: {scored[0].lost}."
    if any(one.lost == NO_IDS for one in scored):
        return f"{NO_IDS[0].upper()}{NO_IDS[1:]}."
    return ""


def _losses(scored: list[Scorable]) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in scored:
        if one.lost:
            found[one.lost] = found.get(one.lost, 0) + 1
    return found
