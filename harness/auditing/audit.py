"""The audit of an endpoint by its text, told once: plan, ask, score, weigh, judge."""

from __future__ import annotations

import datetime
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness import __version__
from harness.auditing.asking import ask_all, render_prompts
from harness.auditing.scorable import PARTED, Scorable, recut_replies, scorable, tells_no_ids
from harness.auditing.scoring import Scoring
from harness.auditing.store import AuditFolder
from harness.comparisons.audit import weigh_replies
from harness.comparisons.recut import measure_charges
from harness.config import Places
from harness.errors import NoChatTemplate
from harness.observations.events import Event, Noticed, StageStarted
from harness.prompts.questions import draw_questions, questions_digest
from harness.reports.audit_card import AuditCard, AuditPlan
from harness.targets.bank import QUICK, bank_members, honest_members
from harness.targets.checkpoint.target import Workers
from harness.targets.endpoint.client import Client
from harness.targets.endpoint.replies import NEUTRAL, Reply
from harness.targets.prompt_source import PromptSource, open_prompt_source
from harness.targets.sampler import Sampler
from harness.targets.spec import Runtime, parse_spec
from harness.verdicts.audit import judge_replies

#: Local replies per configuration from which the charge of a host without ids is measured.
DRAWS = 400


@dataclass(frozen=True, slots=True)
class AuditRequest:
    """What is asked of an audit; all of it is fixed before the first request."""

    reference: str
    requests: int = 32
    tokens: int = 64  # of output, at most, per request
    bank: tuple[str, ...] = QUICK
    alpha: float = 0.01
    nonce: str = ""
    draws: int = DRAWS
    sampler: Sampler = field(default_factory=Sampler)  # what the host is asked for, and held to
    runtime: Runtime = field(default_factory=Runtime)


def audit_endpoint(
    request: AuditRequest, client: Client, places: Places
) -> Generator[Event, None, tuple[AuditCard, Path]]:
    """Ask an endpoint for text and judge whether the reference wrote it; returns the card and the folder that keeps it.

    Raises a TargetRefused for a reference without a chat template, or whose head cannot be replayed.
    """
    source = open_prompt_source(request.reference, places.cache)
    if not source.renders or source.tokenizer is None:
        raise NoChatTemplate(
            "an endpoint is compared with a reference that has a chat template and a tokenizer",
            where=source.name,
            fix="give the reference checkpoint's folder",
        )
    spec = parse_spec(request.reference, request.runtime)
    days = _days(source)
    members = [*honest_members(spec, request.bank, days[1:]), *bank_members(request.bank, spec)]
    questions = draw_questions(request.requests, request.nonce)
    prompts = render_prompts(source, questions, [one.fault for one in members if one.family and one.fault], days)
    plan = AuditPlan(
        reference=source.name, endpoint=client.address.shown, requests=request.requests, tokens=request.tokens,
        bank=request.bank, alpha=request.alpha, nonce=request.nonce, draws=request.draws, questions=questions_digest(),
        template=source.template_digest, tokenizer=source.tokenizer_digest, clock=days[0], sampler=request.sampler,
    )  # fmt: skip
    folder = AuditFolder.create(places.results, plan)
    with Workers() as workers:
        bench = Scoring(workers, places.cache, members, prompts, plan.sampler)
        yield StageStarted("asking", f"{request.requests} questions, at most {request.tokens} tokens each")
        replies = yield from ask_all(client, questions, request.tokens, folder.keep_reply, plan.sampler)
        recut, neutral = tells_no_ids(replies), all(reply.way < NEUTRAL for reply in replies)
        scored = (recut_replies if recut else scorable)(replies, bench.centre, bench.silent, bench.stop, plan.tokens)
        untestable = _untestable(replies, scored)
        if recut and not plan.sampler.plain:
            untestable = f"Replies at {plan.sampler} are judged by the ids of tokens, which this host does not tell."
        charges = None
        if not untestable:
            yield from _told(scored)
            evidence = yield from bench.evidence(scored)
            if recut:
                moved = yield from bench.moved(plan.draws, plan.tokens)
                charges = measure_charges(moved, bench.honest)
                if set(charges.dear) == {member.name for member in members if member.family}:
                    untestable = "Without the ids of tokens, no member of this bank can be told from the reference."
            folder.keep_evidence(members, evidence, scored, charges, neutral=neutral)
    facts = None
    if not untestable:
        families = {member.name: member.family for member in members if member.family}
        near = [member.name for member in members if member.near]
        lost = [number for number, one in enumerate(scored) if one.lost]
        facts = weigh_replies(
            evidence,
            bench.honest,
            families,
            near,
            lost,
            plan.alpha,
            plan.seed,
            charges,
            neutral=neutral,
            sampler=plan.sampler,
        )
    axes = judge_replies(facts, untestable, plan.sampler)
    card = AuditCard(fidelity_version=__version__, plan=plan, losses=_losses(scored), facts=facts, axes=axes)
    folder.keep_card(card)
    return card, folder.folder


def _days(source: PromptSource) -> list[str]:
    """Noon of the day of asking, with its neighbours if prompts hold a date: hosts live in other time zones."""
    noon = datetime.datetime.now(datetime.UTC).replace(hour=12, minute=0, second=0, microsecond=0, tzinfo=None)
    dated = "strftime_now" in source.template + source.tool_template or bool(source.encoder and not source.template)
    return [(noon + datetime.timedelta(days=shift)).isoformat() for shift in ((0, -1, 1) if dated else (0,))]


def _told(scored: Sequence[Scorable]) -> Generator[Event, None, None]:
    lost = [one.lost for one in scored if one.lost]
    if lost:
        yield Noticed(f"{len(lost)} of {len(scored)} replies cannot be scored: {lost[0]}")


def _untestable(replies: Sequence[Reply], scored: Sequence[Scorable]) -> str:
    """Why the text says nothing about weights, or an empty string."""
    if any(reply.parted for reply in replies):
        return f"{PARTED}; ask for raw text."
    if all(one.lost for one in scored):
        return f"No reply can be scored: {scored[0].lost}."
    return ""


def _losses(scored: Sequence[Scorable]) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in scored:
        if one.lost:
            found[one.lost] = found.get(one.lost, 0) + 1
    return found
