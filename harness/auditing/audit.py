"""The audit of an endpoint by its text, told once: plan, prompts, rounds of questions, controls, verdict."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from harness import __version__
from harness.auditing.asking import Questions, as_questions, ask_round, by_prompt, round_ends
from harness.auditing.controlling import run_controls
from harness.auditing.honest_host import PROMPTS, ask_honest_host
from harness.auditing.logged import Logged
from harness.auditing.preparing import AuditRequest, Prepared, bill, days_of, prepare, without_unbuildable
from harness.auditing.probing import probed
from harness.auditing.scorable import Scorable
from harness.auditing.scoring import Scoring
from harness.auditing.store import AuditFolder
from harness.auditing.texts import ask_texts, scores_texts
from harness.auditing.weighing import Weighing
from harness.comparisons.controls import ControlFacts
from harness.comparisons.logprobs import LogprobFacts
from harness.comparisons.protocol import protocol_facts
from harness.config import Places
from harness.errors import BudgetSpent, IncompatibleCandidate
from harness.observations.asked import Asked
from harness.observations.events import Event, Noticed, StageStarted
from harness.prompting import compare_endpoint
from harness.prompts.parts import GAPS, in_one_text, is_split
from harness.prompts.questions import draw_questions, questions_digest
from harness.reports.audit_card import AuditCard, AuditPlan
from harness.targets.checkpoint.target import Workers
from harness.targets.endpoint.budget import Budget
from harness.targets.endpoint.client import Client
from harness.targets.endpoint.probe import Profile, State
from harness.targets.endpoint.ways import Question
from harness.targets.memory import room_for_models
from harness.targets.prompt_source import open_prompt_source
from harness.verdicts.audit import controlled_below, judge_replies
from harness.verdicts.logprobs import judge_texts
from harness.verdicts.model import Finding, Outcome
from harness.verdicts.parameters import judge_parameters, parameter_findings
from harness.verdicts.protocol import protocol_findings, repeats

#: Said before the first request to a router that no host was named for.
MIXTURE = (
    "the router chooses a host for every request: what is judged is the mixture; openrouter:AUTHOR/MODEL@HOST and "
    "hf:ORG/NAME@HOST pin one"
)


def audit_endpoint(
    request: AuditRequest, client: Client, places: Places, honest: Client | None = None
) -> Generator[Event, None, tuple[AuditCard, Path]]:
    """Ask an endpoint for text and judge whether the reference wrote it; returns the card and the folder that keeps it.

    ``honest`` is a host that the user vouches for: it is asked the same, and what accuses it accuses nobody.

    Raises a TargetRefused for a reference without a chat template, or whose head cannot be replayed.
    """
    called = (request.honest or honest.address.shown) if honest else ""
    request = replace(request, honest=called, extras=client.address.extras)
    source = open_prompt_source(request.reference, places.cache)
    request = yield from without_unbuildable(request, places)
    conversations = draw_questions(request.requests, request.nonce)
    prepared = prepare(request, source, conversations, client.address.shown, questions_digest())
    folder = None if request.fresh else AuditFolder.unfinished(places.results, prepared.plan)
    if folder:
        request = replace(request, nonce=folder.plan.nonce)
        conversations = draw_questions(request.requests, request.nonce)
        prepared = prepare(request, source, conversations, client.address.shown, questions_digest(), folder.plan.clock)
        yield Noticed(f"going on with {folder.folder.name}: what was answered is not asked again")
    else:
        folder = AuditFolder.create(places.results, prepared.plan)
    plan = prepared.plan
    asked = by_prompt(source, conversations, plan.clock) if plan.protocol == "completions" else conversations
    with folder:
        card = yield from _asked(request, prepared, as_questions(asked), folder, client, places, honest)
    return card, folder.folder


def _asked(
    request: AuditRequest,
    prepared: Prepared,
    questions: Sequence[Question],
    folder: AuditFolder,
    client: Client,
    places: Places,
    honest: Client | None,
) -> Generator[Event, None, AuditCard]:
    """The audit in its folder, from the first request to the stored card."""
    plan = prepared.plan
    seeds = [plan.seed_of(n) for n in range(plan.requests)]
    asked = Questions(questions, plan.tokens, plan.sampler, seeds, plan.stream)
    with Asked(folder.folder / "asked.sqlite") as log, Workers(room_for_models()) as workers:
        client.log, client.budget = log, Budget(plan.caps)
        client.budget.resume(log.spent())
        yield Noticed(bill(prepared))
        if client.address.chosen:
            yield Noticed(MIXTURE)
        yield StageStarted("prompts", "what the endpoint can do, and whether it makes the reference's prompts")
        profile, told, below = None, None, folder.prompts()
        try:
            profile, told = probed(client, folder, request.reference, plan)
            if plan.protocol == "chat":
                below = below or compare_endpoint(request.reference, client, places.cache)
                folder.keep_prompts(below)
        except BudgetSpent as error:
            yield Noticed(f"{error.problem}: what is already there is judged")
        weighing = Weighing(
            Scoring(workers, places.cache, prepared.members, prepared.prompts, plan.sampler, plan.marks), plan, folder
        )
        if profile and scores_texts(profile):
            try:
                yield from ask_texts(client, log, weighing.bench, prepared, folder)
            except BudgetSpent as error:
                yield Noticed(f"{error.problem}: what is already there is judged")
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
            # a prompt that is known to differ explains a text that differs, and is named already
            explained = below and below.verdict.outcome is Outcome.BEYOND and weighing.accused
            if explained and whole and not weighing.decided:
                yield Noticed(
                    "the prompts differ, and so does the text: no more is asked, and weights are not followed up"
                )
            if not whole or weighing.decided or explained:
                break
        controls = yield from _controlled(weighing, prepared, folder, done)
        if honest:
            vouched = yield from ask_honest_host(
                weighing, prepared, folder, questions, honest, request.reference, places.cache, done
            )
            controls = (vouched, *controls)
        spent, sample = client.budget.spent, log.request_of("reply-0000")
        spent = spent.model_copy(update={"seconds": log.spent().seconds})  # of asking, not of scoring
    card = _card(weighing, prepared, controls, _texts(folder, plan)).model_copy(
        update={
            "spent": spent,
            "spent_on_honest": honest.budget.spent if honest else None,
            "profile": profile,
            "prompts": controlled_below(below.verdict, controls, prompts=True) if below else None,
            "parameters": controlled_below(judge_parameters(told), controls, prompts=False) if told else None,
            "findings": (
                *(below.findings if below else ()),
                *(parameter_findings(told) if told else ()),
                *_around(weighing, prepared, profile),
            ),
        }
    )
    folder.keep_card(card, sample)
    return card


def audit_replies(
    request: AuditRequest, logged: Logged, name: str, places: Places
) -> Generator[Event, None, tuple[AuditCard, Path]]:
    """Judge logged traffic, own prompts and replies, by the same statistics and without any request.

    ``name`` says which file it came from. Prompts are those that the reference makes of the conversations; where contents come
    in several text parts, every way in which engines join them counts as honest.
    """
    source = open_prompt_source(request.reference, places.cache)
    if len(days_of(source)) > 1:
        raise IncompatibleCandidate(
            "prompts of this reference hold the day on which they were made, which a log does not tell",
            where=source.name,
            fix="audit the endpoint itself, on the day",
        )
    request = yield from without_unbuildable(request, places)
    conversations = [conversation for conversation, _ in logged.found]
    ways = list(GAPS) if any(map(is_split, conversations)) else list(GAPS)[:1]
    first, *others = ([in_one_text(one, gap) for one in conversations] for gap in ways)
    readings = {f"parts {GAPS[gap]}": made for gap, made in zip(ways[1:], others, strict=True)}
    prepared = prepare(request, source, first, name, logged.digest, readings=readings)
    folder = AuditFolder.create(places.results, prepared.plan)
    with folder, Workers(room_for_models()) as workers:
        if logged.dropped:
            yield Noticed(logged.dropped)
        if readings:
            yield Noticed(f"contents come in text parts: read as joined {', '.join(GAPS[gap] for gap in ways)}")
        plan = prepared.plan
        scoring = Scoring(workers, places.cache, prepared.members, prepared.prompts, plan.sampler, plan.marks)
        weighing = Weighing(scoring, prepared.plan, folder)
        yield from weighing.add([reply for _, reply in logged.found])
        controls = yield from _controlled(weighing, prepared, folder, len(conversations))
    found = _around(weighing, prepared, None)
    if logged.dropped:
        found = (*found, repeats(logged.dropped))
    card = _card(weighing, prepared, controls, (None, None)).model_copy(update={"findings": found})
    folder.keep_card(card, b"")
    return card, folder.folder


def judge_again(folder: AuditFolder) -> AuditCard:
    """The card of a finished audit with facts, controls and verdicts computed anew from the stored evidence."""
    card = folder.card
    if card.facts is None or not folder.measured:
        return card
    facts, controls = folder.weigh_again()
    texts, vouched = _texts(folder, card.plan)
    kept = {
        one.name: one for one in card.controls if one.untestable or one.axis == PROMPTS
    }  # what no evidence is stored of
    again = {one.name: one for one in controls} | kept
    controls = tuple(again[one.name] for one in card.controls if one.name in again)
    axes = judge_replies(facts, "", card.plan.sampler, card.plan.required, controls)
    axes = (*axes, *judge_texts(texts, card.plan.required, controls, vouched))
    found = {"facts": facts, "controls": controls, "texts": texts, "honest_texts": vouched, "axes": axes}
    return card.model_copy(update=found)


def _controlled(
    weighing: Weighing, prepared: Prepared, folder: AuditFolder, done: int
) -> Generator[Event, None, tuple[ControlFacts, ...]]:
    if not weighing.facts or weighing.untestable:
        return ()
    return (yield from run_controls(weighing, prepared.plan, prepared.members, prepared.prompts, folder, done))


def _texts(folder: AuditFolder, plan: AuditPlan) -> tuple[LogprobFacts | None, LogprobFacts | None]:
    """What the candidate tells of the texts, and the host that is vouched for."""
    host = next((one.name for one in plan.controls if not one.member), "")
    return folder.texts(), folder.texts(host) if host else None


def _card(
    weighing: Weighing,
    prepared: Prepared,
    controls: tuple[ControlFacts, ...],
    texts: tuple[LogprobFacts | None, LogprobFacts | None],
) -> AuditCard:
    plan = prepared.plan
    axes = judge_replies(weighing.facts, weighing.untestable, plan.sampler, plan.required, controls)
    return AuditCard(
        fidelity_version=__version__, plan=plan, losses=_losses(weighing.scored), facts=weighing.facts, controls=controls,
        texts=texts[0], honest_texts=texts[1], axes=(*axes, *judge_texts(texts[0], plan.required, controls, texts[1])),
    )  # fmt: skip


def _around(weighing: Weighing, prepared: Prepared, profile: Profile | None) -> tuple[Finding, ...]:
    """Findings about the protocol around the replies."""
    lengths = [len(prompt) for prompt in prepared.prompts[""][: len(weighing.replies)]]
    ignored = tuple(one.name for one in (profile.capabilities if profile else ()) if one.state is State.IGNORED)
    marks = prepared.plan.marks
    return protocol_findings(protocol_facts(weighing.replies, lengths, (marks.begin, marks.end)), ignored)


def _prefix(known: Mapping[int, object], end: int) -> int:
    """How many questions in plan order have a reply: what was answered behind a gap does not count."""
    return next((number for number in range(end) if number not in known), end)


def _losses(scored: Sequence[Scorable]) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in scored:
        if one.lost:
            found[one.lost] = found.get(one.lost, 0) + 1
    return found
