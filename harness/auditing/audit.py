"""The audit of an endpoint by its text, told once: plan, ask, score, weigh, stop, hold against controls, judge."""

from __future__ import annotations

import datetime
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness import __version__
from harness.auditing.asked import Asked
from harness.auditing.asking import Questions, ask_round, render_prompts, round_ends
from harness.auditing.controlling import run_controls
from harness.auditing.scorable import Ids, Scorable
from harness.auditing.scoring import Scoring
from harness.auditing.store import AuditFolder
from harness.auditing.weighing import Weighing
from harness.comparisons.controls import Control, ControlFacts
from harness.config import Places
from harness.errors import NoChatTemplate
from harness.observations.events import Event, Noticed, StageStarted
from harness.prompting import compare_endpoint
from harness.prompts.questions import draw_questions, questions_digest
from harness.reports.audit_card import AuditCard, AuditPlan
from harness.targets.bank import QUICK, BankMember, bank_members, honest_members, known_bad, required
from harness.targets.checkpoint.target import Workers
from harness.targets.endpoint.budget import Budget, Caps
from harness.targets.endpoint.client import Client
from harness.targets.endpoint.probe import probe
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
    requests: int = 64  # at most
    tokens: int = 64  # of output, at most, per request
    bank: tuple[str, ...] = QUICK
    alpha: float = 0.01
    nonce: str = ""
    draws: int = DRAWS
    sampler: Sampler = field(default_factory=Sampler)  # what the host is asked for, and held to
    controls: bool = True
    caps: Caps = field(default_factory=Caps)
    fresh: bool = False  # begin anew even where an unfinished audit could be resumed
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
    days = _days(source)
    members = _members(request, days)
    questions = draw_questions(request.requests, request.nonce)
    plan, members, prompts = _planned(request, client, source, days, members)
    folder = None if request.fresh else AuditFolder.unfinished(places.results, plan)
    if folder:
        plan = folder.plan
        days = [plan.clock, *days[1:]]
        questions = draw_questions(plan.requests, plan.nonce)
        prompts = _prompts(source, plan, members, days)
        yield Noticed(f"going on with {folder.folder.name}: what was answered is not asked again")
    else:
        folder = AuditFolder.create(places.results, plan)
    asked = Questions(questions, plan.tokens, plan.sampler, [plan.seed_of(n) for n in range(plan.requests)])
    with Asked(folder.folder / "asked.sqlite") as log, Workers() as workers:
        client.log, client.budget = log, Budget(plan.caps)
        client.budget.resume(log.spent())
        yield StageStarted("prompts", "what the endpoint can do, and whether it makes the reference's prompts")
        profile = probe(client)
        below = folder.prompts() or compare_endpoint(request.reference, client, places.cache)
        folder.keep_prompts(below)
        weighing = Weighing(Scoring(workers, places.cache, members, prompts, plan.sampler), plan, folder)
        known = log.replies()
        done = 0
        for end in round_ends(plan.requests):
            yield StageStarted("asking", f"questions {done + 1} to {end}, at most {plan.tokens} tokens each")
            whole = yield from ask_round(client, asked, range(done, end), known, log.keep_reply)
            answered = [known[number] for number in range(done, _prefix(known, end))]
            yield from weighing.add(answered)
            done += len(answered)
            if not whole:
                yield Noticed("the budget is used up: what came is judged")
            if not whole or weighing.decided:
                break
        controls: tuple[ControlFacts, ...] = ()
        if request.controls and weighing.facts and not weighing.untestable:
            controls = yield from run_controls(weighing, plan, members, prompts, folder, done)
        spent, sample = client.budget.spent, log.request_of("reply-0000")
    axes = judge_replies(weighing.facts, weighing.untestable, plan.sampler, plan.required, controls)
    card = AuditCard(
        fidelity_version=__version__, plan=plan, losses=_losses(weighing.scored), facts=weighing.facts,
        controls=controls, spent=spent, profile=profile, prompts=below.verdict, findings=below.findings, axes=axes,
    )  # fmt: skip
    folder.keep_card(card, sample)
    return card, folder.folder


def judge_again(folder: AuditFolder) -> AuditCard:
    """The card of a finished audit with facts, controls and verdicts computed anew from the stored evidence."""
    card = folder.card
    if card.facts is None or not folder.measured:
        return card
    facts, controls = folder.weigh_again()
    axes = judge_replies(facts, "", card.plan.sampler, card.plan.required, controls)
    return card.model_copy(update={"facts": facts, "controls": controls, "axes": axes})


def _prefix(known: Mapping[int, object], end: int) -> int:
    """How many questions in plan order have a reply: what was answered behind a gap does not count."""
    return next((number for number in range(end) if number not in known), end)


def _members(request: AuditRequest, days: Sequence[str]) -> list[BankMember]:
    spec = parse_spec(request.reference, request.runtime)
    return [*honest_members(spec, request.bank, days[1:]), *bank_members(request.bank, spec)]


def _planned(
    request: AuditRequest, client: Client, source: PromptSource, days: Sequence[str], members: list[BankMember]
) -> tuple[AuditPlan, list[BankMember], dict[str, list[Ids]]]:
    """The frozen plan, the members that differ from the reference at all, and prompts per fault and day."""
    plan = AuditPlan(
        reference=source.name, endpoint=client.address.shown, requests=request.requests, tokens=request.tokens,
        honest=(), families={}, near=(), required=(), controls=(), caps=request.caps,
        alpha=request.alpha, nonce=request.nonce, draws=request.draws, questions=questions_digest(),
        template=source.template_digest, tokenizer=source.tokenizer_digest, clock=days[0], sampler=request.sampler,
    )  # fmt: skip
    prompts = _prompts(source, plan, members, days)
    kept = [m for m in members if not (m.family and m.fault) or prompts[m.fault] != prompts[""]]
    bad = known_bad(kept) if request.controls and request.sampler.plain else None
    controls = [Control(name="honest: bf16", role="honest", member="bf16")] if request.sampler.plain else []
    if bad:
        listed, hidden, out = bad
        controls.append(Control(name=f"bad: {listed.name}", role="listed", member=listed.name))
        controls.append(Control(name=f"bad, unlisted: {hidden.name}", role="unlisted", member=hidden.name, hidden=out))
    return (
        plan.model_copy(update={
            "honest": tuple(m.name for m in kept if not m.family),
            "families": {m.name: m.family for m in kept if m.family},
            "near": tuple(m.name for m in kept if m.near),
            "required": required(kept),
            "controls": tuple(controls) if request.controls else (),
        }),
        kept,
        prompts,
    )  # fmt: skip


def _prompts(
    source: PromptSource, plan: AuditPlan, members: Sequence[BankMember], days: Sequence[str]
) -> dict[str, list[Ids]]:
    questions = draw_questions(plan.requests, plan.nonce)
    return render_prompts(source, questions, [one.fault for one in members if one.family and one.fault], days)


def _days(source: PromptSource) -> list[str]:
    """Noon of the day of asking, with its neighbours if prompts hold a date: hosts live in other time zones."""
    noon = datetime.datetime.now(datetime.UTC).replace(hour=12, minute=0, second=0, microsecond=0, tzinfo=None)
    dated = "strftime_now" in source.template + source.tool_template or bool(source.encoder and not source.template)
    return [(noon + datetime.timedelta(days=shift)).isoformat() for shift in ((0, -1, 1) if dated else (0,))]


def _losses(scored: Sequence[Scorable]) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in scored:
        if one.lost:
            found[one.lost] = found.get(one.lost, 0) + 1
    return found
