"""What an audit would cost before anybody is asked: the divergence of a suspected build, measured on its own replies."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from harness.auditing.asking import render_prompts
from harness.auditing.scorable import Scorable, until_silent
from harness.auditing.scoring import Scoring
from harness.comparisons.recut import measure_charges
from harness.comparisons.replies import divergence_interval
from harness.errors import NoChatTemplate, UsageError
from harness.evidence.clustered import Estimate
from harness.observations.events import Event, StageStarted
from harness.prompts.conversation import FROZEN_CLOCK
from harness.prompts.questions import draw_questions
from harness.targets.bank import bank_members, honest_members
from harness.targets.checkpoint.target import Workers
from harness.targets.prompt_source import open_prompt_source
from harness.targets.spec import Runtime, parse_spec

_QUESTIONS, _TOKENS = 16, 64


@dataclass(frozen=True, slots=True)
class Measured:
    """A suspected build on this machine: its divergence, tokens per reply, and what a reply without ids is charged."""

    divergence: Estimate
    length: float
    charge: float


def measure_suspect(
    reference: str, suspect: str, runtime: Runtime, cache: Path, draws: int
) -> Generator[Event, None, Measured]:
    """KL(suspect || reference) in nats per scored token on replies that the suspect samples here.

    With ``draws`` also the charge of a reply whose host tells no ids, from so many local replies (0 for a host that does).
    The interval is over replies. Raises UsageError for a suspect that changes no prompt.
    """
    source = open_prompt_source(reference, cache)
    if not source.renders or source.tokenizer is None:
        raise NoChatTemplate(
            "a plan needs a reference with a chat template and a tokenizer", where=source.name, fix="or give --kl"
        )
    spec = parse_spec(reference, runtime)
    centre, (member,) = honest_members(spec)[0], bank_members((suspect,), spec)
    questions = draw_questions(_QUESTIONS, "plan")
    prompts = render_prompts(source, questions, [member.fault] if member.fault else [], [FROZEN_CLOCK])
    asked = prompts[member.fault]
    if member.fault and asked == prompts[""]:
        raise UsageError(f"{suspect} changes no prompt of this reference", fix="suspect something else")
    with Workers() as workers:
        bench = Scoring(workers, cache, [centre, member], prompts)
        yield StageStarted("replies", f"{_QUESTIONS} replies of {member.name}")
        replies = bench.open(member.spec).generate(asked, [_TOKENS] * len(asked), 1, len(asked))
        evidence = yield from bench.evidence([Scorable(until_silent(reply, bench.silent)) for reply in replies])
        found = divergence_interval(evidence, member.name, centre.name)
        charge = 0.0
        if draws:
            moved = yield from bench.moved(draws, _TOKENS)
            charge = measure_charges(moved, bench.honest).members[member.name]
    return Measured(found, found.tokens / max(len(replies), 1), charge)
