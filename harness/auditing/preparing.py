"""Before anything is asked: the bank, the prompts under every fault and day, the controls, and the plan that freezes them."""

from __future__ import annotations

import datetime
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from harness.auditing.asking import render_prompts
from harness.auditing.scorable import Ids
from harness.auditing.thinking import marks_of
from harness.comparisons.controls import Control
from harness.config import Places
from harness.errors import NoChatTemplate
from harness.observations.events import Event, Noticed
from harness.prompts.conversation import Conversation
from harness.prompts.thoughts import Marks
from harness.reports.audit_card import AuditPlan, Checks
from harness.targets.bank import (
    QUICK,
    BankMember,
    bank_members,
    honest_members,
    honest_reading,
    known_bad,
    required,
)
from harness.targets.checkpoint.target import Workers
from harness.targets.endpoint.budget import Caps
from harness.targets.endpoint.extras import Extras
from harness.targets.endpoint.ways import Protocol
from harness.targets.opening import open_target
from harness.targets.prompt_source import PromptSource
from harness.targets.sampler import Sampler
from harness.targets.spec import Runtime, parse_spec

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
    protocol: Protocol = "chat"  # completions: by the reference's own prompts, in which no template takes part
    stream: bool = False
    texts: int = 32  # documents, where the host scores what it is shown
    honest: str = ""  # what a running host is called that the user vouches for
    checks: Checks = "thorough"  # of parameters, by their effects, before anything else is asked
    caps: Caps = field(default_factory=Caps)
    left_out: tuple[str, ...] = ()  # members of the bank that cannot be built from this reference, with the reason
    fresh: bool = False  # begin anew even where an unfinished audit could be resumed
    runtime: Runtime = field(default_factory=Runtime)
    extras: Extras = field(default_factory=Extras)  # that go out with every request, as the client's address says


@dataclass(frozen=True, slots=True)
class Prepared:
    """A frozen plan with what it was made of: members that differ from the reference at all, and prompts per fault and day."""

    plan: AuditPlan
    members: list[BankMember]
    prompts: dict[str, list[Ids]]


def prepare(
    request: AuditRequest,
    source: PromptSource,
    conversations: Sequence[Conversation],
    endpoint: str,
    questions: str,
    clock: str = "",
    readings: Mapping[str, Sequence[Conversation]] | None = None,
) -> Prepared:
    """Freeze the plan of an audit; ``questions`` is the digest of what is asked, ``clock`` that of an audit to go on with.

    ``readings`` are the same conversations as an honest engine may read them, too, by name; those whose prompts are the same
    are left out.

    Raises NoChatTemplate for a reference that makes no prompts.
    """
    if not source.renders or source.tokenizer is None:
        raise NoChatTemplate(
            "an endpoint is asked conversations, so its reference needs a chat template and a tokenizer; base models have none",
            where=source.name,
            fix="give the folder of the chat model that the endpoint serves, or copy chat_template.jinja from its release",
        )
    days = days_of(source, clock)[: 1 if request.protocol == "completions" else None]
    spec = parse_spec(request.reference, request.runtime)
    members = [*honest_members(spec, request.bank, days[1:]), *bank_members(request.bank, spec)]
    if request.protocol == "completions":  # a host that is given the whole prompt has none of its own to get wrong
        members = [one for one in members if not (one.family and one.fault)]
    faults = [one.fault for one in members if one.family and one.fault]
    prompts = render_prompts(source, conversations, faults, days)
    for name, read in (readings or {}).items():
        made = render_prompts(source, read, [], days[:1])[""]
        if made not in prompts.values():
            prompts[name] = made
            members.insert(1, honest_reading(spec, name))  # behind the centre of the null
    members = [m for m in members if not (m.family and m.fault) or prompts[m.fault] != prompts[""]]
    plan = AuditPlan(
        reference=source.name, endpoint=endpoint, requests=len(conversations), tokens=request.tokens,
        honest=tuple(m.name for m in members if not m.family),
        families={m.name: m.family for m in members if m.family},
        near=tuple(m.name for m in members if m.near),
        required=required(members),
        controls=_controls(request, members), checks=request.checks,
        caps=request.caps, alpha=request.alpha, nonce=request.nonce, draws=request.draws, questions=questions,
        template=source.template_digest, tokenizer=source.tokenizer_digest, clock=days[0], sampler=request.sampler,
        left_out=request.left_out, protocol=request.protocol, stream=request.stream,
        texts=request.texts if request.sampler.plain else 0,
        extras=request.extras, marks=marks_of(source, days[0]) if request.protocol == "chat" else Marks(),
    )  # fmt: skip
    return Prepared(plan, members, prompts)


def without_unbuildable(request: AuditRequest, places: Places) -> Generator[Event, None, AuditRequest]:
    """The request with a bank of builds that this reference can be made into; what is left out is told."""
    kept, left_out = [], []
    spec = parse_spec(request.reference, request.runtime)
    with Workers() as workers:
        for name, member in zip(request.bank, bank_members(request.bank, spec), strict=True):
            built = member.family in {"quantization", "kv-cache"}
            problem = open_target(member.spec, workers, places.cache).build_problem() if built else ""
            if problem:
                left_out.append(f"{name}: {problem}")
                yield Noticed(f"{name} is left out of the bank, and hosts that serve it are not ruled out: {problem}")
            else:
                kept.append(name)
    return replace(request, bank=tuple(kept), left_out=tuple(left_out))


def bill(prepared: Prepared) -> str:
    """What the questions cost at most, before the first of them goes out."""
    plan = prepared.plan
    tokens_in = sum(len(prompt) for prompt in prepared.prompts[""])
    tokens_out = plan.requests * plan.tokens
    money = plan.caps.cost(tokens_in, tokens_out)
    return (
        f"at most {plan.requests} questions, {tokens_in:,} tokens in and {tokens_out:,} out"
        + (f", for {money:.2g}" if money else "")
        + f"; {'probe, prompts and trials' if plan.checks != 'none' else 'probe and prompts'} on top, 100 to 400 short requests"
        + ("; the honest host is asked as much again at most" if any(not one.member for one in plan.controls) else "")
    )


def days_of(source: PromptSource, clock: str = "") -> list[str]:
    """Noon of the day of asking, with its neighbours if prompts hold a date: hosts live in other time zones."""
    today = datetime.datetime.now(datetime.UTC).replace(hour=12, minute=0, second=0, microsecond=0, tzinfo=None)
    noon = datetime.datetime.fromisoformat(clock) if clock else today
    dated = "strftime_now" in source.template + source.tool_template or bool(source.encoder and not source.template)
    return [(noon + datetime.timedelta(days=shift)).isoformat() for shift in ((0, -1, 1) if dated else (0,))]


def _controls(request: AuditRequest, members: Sequence[BankMember]) -> tuple[Control, ...]:
    """Hosts of known weights; those made here sample from the whole distribution, so a forced sampler has none of them."""
    vouched = [Control(name=f"honest host: {request.honest}", role="honest")] if request.honest else []
    if not request.controls or not request.sampler.plain:
        return tuple(vouched)
    found = [*vouched, Control(name="honest: bf16", role="honest", member="bf16")]
    bad = known_bad(members)
    if bad:
        listed, hidden, out = bad
        found.append(Control(name=f"bad: {listed.name}", role="listed", member=listed.name))
        found.append(Control(name=f"bad, unlisted: {hidden.name}", role="unlisted", member=hidden.name, hidden=out))
    return tuple(found)
