"""The introspection tier: an engine is asked for the prompts that it makes, and its bill is held against them.

recognise -> prompts -> golden strings -> bill -> diagnosis -> verdict.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from harness.comparisons.templates import GoldenDifference, PromptPair
from harness.errors import EndpointRefused, NoChatTemplate
from harness.identity import digest_bytes
from harness.prompting.counts import probe_counts
from harness.prompting.evidence import card_of, family_of, pair_probes, pair_prompts, refuse_broken_tokenizer
from harness.prompting.files import PROBES_KEPT, UNSEEN_KEPT, golden_differences, side_facts
from harness.prompting.self_render import self_render
from harness.prompts.cases import Case, load_cases
from harness.prompts.conversation import BY_THE_HOST, FROZEN_CLOCK, Conversation, Coverage, Dialect
from harness.prompts.deviations import profiles
from harness.prompts.faults import Fault
from harness.prompts.golden import GOLDEN
from harness.prompts.jinja.process import PromptProcess
from harness.prompts.variants import Bench
from harness.reports.prompt_card import PromptCard
from harness.targets.endpoint.chat import ask_count
from harness.targets.endpoint.client import Client
from harness.targets.endpoint.engines import Engine, recognise
from harness.targets.endpoint.served import ServedPrompts
from harness.targets.prompt_source import PromptSource, open_prompt_source
from harness.verdicts.model import Outcome
from harness.verdicts.tokens_in import Billed, SideFacts, TokensIn, UnseenFacts, judge_tokens_in

Access = Literal["auto", "introspection", "self-render", "counts"]

_MOST_PROBES = 60  # requests for what a served template decides
_BILLED = ("minimal", "system", "three-turns")  # cases whose bill is held against what the engine shows


def compare_endpoint(reference: str, client: Client, cache: Path, access: Access = "auto") -> PromptCard:
    """Compare the prompts of a reference on disk with those of an endpoint, by what it shows or by what it bills.

    Raises a TargetRefused for a reference without template or tokenizer, and for an endpoint that cannot be reached, or
    that shows nothing although ``introspection`` was asked for.
    """
    source = open_prompt_source(reference, cache)
    if not source.renders or source.tokenizer is None:
        raise NoChatTemplate(
            "prompts of an endpoint are compared with a reference that has both a chat template and a tokenizer",
            where=source.name,
            fix="give the reference checkpoint's folder or its GGUF file",
        )
    with PromptProcess() as process:
        refuse_broken_tokenizer(process, source)
        if access == "self-render":
            return self_render(process, source, client)
        if access == "counts":
            return probe_counts(process, source, client)
        engine = recognise(client)
        card = _introspected(process, source, engine) if engine else None
        if card is None and access == "introspection":
            raise EndpointRefused(
                "the endpoint does not show the prompts that it makes",
                where=client.address.shown,
                fix="use --access counts, which needs nothing but usage.prompt_tokens",
            )
        if card is None:
            return _unseen(process, source, client, engine.name if engine else "")
        if access == "auto" and card.verdict.outcome is Outcome.NOT_TESTABLE:  # it shows what it does not use
            return _contradicted(card, _by_answers(process, source, client))
        return card


def _unseen(process: PromptProcess, source: PromptSource, client: Client, engine: str) -> PromptCard:
    """The card of a host that shows no prompts: by its answers to both forms where it takes prompts, else by its bill.

    A bill that is as expected does not clear a host that answers the two forms differently.
    """
    by_answers = _by_answers(process, source, client)
    if by_answers and by_answers.verdict.outcome in {Outcome.WITHIN, Outcome.BEYOND}:
        return by_answers
    by_bill = probe_counts(process, source, client, engine)
    differs = by_answers and by_answers.verdict.outcome is Outcome.INCONCLUSIVE and by_answers.findings
    return by_answers if by_answers and differs and by_bill.verdict.outcome is not Outcome.BEYOND else by_bill


def _by_answers(process: PromptProcess, source: PromptSource, client: Client) -> PromptCard | None:
    """The self-render tier; None of a host that refuses it, as one does whose key is for chat alone."""
    try:
        return self_render(process, source, client)
    except EndpointRefused:
        return None


def _contradicted(shown: PromptCard, by_answers: PromptCard | None) -> PromptCard:
    """What a host shows proves nothing; its answers may accuse it, and do not clear it."""
    if by_answers is None or by_answers.verdict.outcome is not Outcome.BEYOND:
        return shown
    return by_answers.model_copy(update={"findings": (*by_answers.findings, *shown.findings)})


def _introspected(process: PromptProcess, source: PromptSource, engine: Engine) -> PromptCard | None:
    """The card of an engine that shows its prompts; None if it shows none."""
    served = ServedPrompts(engine)
    bench, clock = _bench_of_the_day(process, source, served)
    cases = load_cases(own_control=bench.family.turn_end)
    asked = [conversation for case in cases for conversation in case.conversations]
    shown = served.prompts(asked)
    if not any(prompt.text is not None for prompt in shown):
        return None
    profile = profiles(engine.name, engine.version).get(engine.name, ())
    paired = pair_prompts(bench, served, cases, profile, ids_first=True)
    evidence = TokensIn(
        pairs=tuple(paired.pairs),
        diagnosis=paired.diagnosis,
        tokenizer=(),
        golden=tuple(_golden(process, source, engine, as_sent=any(d.name == "normalizer-lost" for d in profile))),
        reference=side_facts(process, source, bench, asked),
        candidate=_endpoint_facts(engine),
        engine=f"{engine.name} {engine.version}".strip(),
        deviations=paired.deviations,
        billed=tuple(_billed(engine.client, cases, paired.pairs)),
    )
    if judge_tokens_in(evidence)[0].outcome is not Outcome.BEYOND:
        acting = {entry.name for entry in paired.deviations}
        base = [entry.fault for entry in profile if entry.name in acting]
        evidence = _explored(process, source, served, bench, asked, base, evidence)
    return card_of(evidence, judge_tokens_in(evidence), clock)


def _explored(
    process: PromptProcess,
    source: PromptSource,
    served: ServedPrompts,
    bench: Bench,
    asked: Sequence[Conversation],
    base: Sequence[Fault],
    evidence: TokensIn,
) -> TokensIn:
    """Requests for what only the template decides that the engine says it uses; they are asked, and need no model.

    What shows on another day alone cannot be asked of a host: there both templates are rendered here. Decisions of the engine's
    template that nothing entered are not cleared; those of the reference's alone are the cases' matter.
    """
    theirs = served.engine.template
    if not served.engine.jinja or not theirs.strip() or theirs.rstrip() == source.template.rstrip():
        return evidence
    sides = {"candidate": (theirs, source.template), "reference": (source.template, theirs)}
    found = {role: process.explore(*two, list(asked), source.variables) for role, two in sides.items()}
    probes = [probe for one in found.values() for probe in one.probes]
    today = [probe for probe in probes if probe.clock == FROZEN_CLOCK]
    tried, rest = today[:_MOST_PROBES], today[_MOST_PROBES:]
    heard = served.prompts([probe.conversation for probe in tried])
    made = [p for p, one in zip(tried, heard, strict=True) if not one.rendered.problem.startswith(BY_THE_HOST)]
    pairs = pair_probes(lambda _: (bench, served), made, evidence.diagnosis, base)
    others = [probe for probe in probes if probe.clock != FROZEN_CLOCK]
    pairs += pair_probes(lambda clock: _on_a_day(process, source, theirs, clock), others, evidence.diagnosis)
    pairs = [pair for pair in pairs if pair.reference is not None]  # a host that takes more is only laxer
    theirs_alone = found["candidate"]
    unseen = [UnseenFacts(side="candidate", line=u.line, kind=u.kind, words=u.words) for u in theirs_alone.unseen]
    if theirs_alone.problem:
        unseen.append(UnseenFacts(side="candidate", line=0, kind="problem", words=theirs_alone.problem))
    return evidence.model_copy(
        update={
            "probed": len(pairs),
            "probes": tuple(pair for pair in pairs if not pair.equal)[:PROBES_KEPT],
            "unseen": tuple(unseen[:UNSEEN_KEPT]),
            "left_out": sum(one.left_out for one in found.values()) + len(rest),
        }
    )


def _on_a_day(process: PromptProcess, source: PromptSource, theirs: str, clock: str) -> tuple[Bench, Bench]:
    """Both templates under the reference's own rules at a time."""
    sides = (source, replace(source, template=theirs))
    ours, other = (Bench(process, family_of(side), source.tokenizer, Dialect(clock=clock)) for side in sides)
    return ours, other


def _bench_of_the_day(process: PromptProcess, source: PromptSource, served: ServedPrompts) -> tuple[Bench, str]:
    """The reference under the clock of the host: today, or the day before or after where time zones part."""
    noon = datetime.datetime.now(datetime.UTC).replace(hour=12, minute=0, second=0, microsecond=0, tzinfo=None)
    (case,) = [case for case in load_cases() if case.id == "minimal"]
    (seen,) = served.prompts(case.conversations[:1])
    days = [noon + datetime.timedelta(days=shift) for shift in (0, -1, 1)]
    benches = [
        Bench(process, family_of(source), source.tokenizer, Dialect(clock=day.isoformat()))
        for day in (days if "strftime_now" in source.template else days[:1])
    ]
    fitting = [k for k, bench in enumerate(benches) if bench.prompts(case.conversations[:1])[0].text == seen.text]
    at = fitting[0] if fitting else 0
    return benches[at], days[at].isoformat()


def _golden(process: PromptProcess, source: PromptSource, engine: Engine, *, as_sent: bool) -> list[GoldenDifference]:
    """Golden strings with other ids; ``as_sent`` for engines that compose no letters, whatever the tokenizer says."""
    if source.tokenizer is None or engine.encode("a") is None:
        return []
    told = {text: engine.encode(text) for text in GOLDEN}
    found = golden_differences(process, source.tokenizer, told.get, unanswered=True)
    if not found or not as_sent:
        return found
    return golden_differences(process, source.tokenizer, told.get, normalized=False, unanswered=True)


def _endpoint_facts(engine: Engine) -> SideFacts:
    return SideFacts(
        name=engine.client.address.shown,
        kind="endpoint",
        template=digest_bytes(engine.template.encode()) if engine.template else "",
        tokenizer="",
        turn_end="",
        turn_end_ids=(),
        stop_ids=(),
        coverage=Coverage(),
        doubles_bos=False,
    )


def _billed(client: Client, cases: Sequence[Case], pairs: Sequence[PromptPair]) -> list[Billed]:
    """Some requests sent for real: what an engine shows is evidence only if it also bills it.

    Where it shows texts alone, an equal text has the reference's ids.
    """
    first = {pair.case: pair for pair in pairs if pair.number == 0}
    rows = []
    for case in cases:
        if case.id not in _BILLED:
            continue
        pair = first[case.id]
        ids = pair.candidate_ids or (pair.reference_ids if pair.reference == pair.candidate else None)
        if ids is not None:
            asked = ask_count(client, case.conversations[0])
            rows.append(Billed(case=case.id, shown=len(ids), billed=asked.count, problem=asked.problem))
    return rows
