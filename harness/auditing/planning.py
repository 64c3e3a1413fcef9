"""What an audit would cost before anybody is asked: the divergence of a suspected build, measured on its own replies."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.auditing.asking import render_prompts
from harness.auditing.scorable import Scorable, until_silent
from harness.auditing.scoring import Scoring
from harness.comparisons.recut import measure_charges
from harness.comparisons.replies import divergence_interval
from harness.errors import NoChatTemplate, UsageError
from harness.evidence.clustered import Estimate, Floats
from harness.observations.events import Event, StageStarted
from harness.prompts.conversation import FROZEN_CLOCK
from harness.prompts.questions import draw_questions
from harness.targets.bank import bank_members, honest_members
from harness.targets.checkpoint.target import Workers
from harness.targets.prompt_source import open_prompt_source
from harness.targets.spec import Runtime, parse_spec
from harness.targets.token_evidence import TokenEvidence

_QUESTIONS, _TOKENS = 16, 64


@dataclass(frozen=True, slots=True)
class Measured:
    """A suspected build on this machine: its divergence, tokens per reply, and what a reply without ids is charged.

    ``distances`` and ``bands`` are means per reply of the build's and of honest arithmetic's distance from the reference.
    """

    divergence: Estimate
    length: float
    charge: float
    distances: Floats
    bands: Floats


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
            "a plan needs a reference with a chat template and a tokenizer; base models have none",
            where=source.name,
            fix="give the folder of the chat model, or --kl",
        )
    spec = parse_spec(reference, runtime)
    (centre, other), (member,) = honest_members(spec)[:2], bank_members((suspect,), spec)
    questions = draw_questions(_QUESTIONS, "plan")
    prompts = render_prompts(source, questions, [member.fault] if member.fault else [], [FROZEN_CLOCK])
    asked = prompts[member.fault]
    if member.fault and asked == prompts[""]:
        raise UsageError(f"{suspect} changes no prompt of this reference", fix="suspect something else")
    with Workers() as workers:
        bench = Scoring(workers, cache, [centre, other, member], prompts)
        yield StageStarted("replies", f"{_QUESTIONS} replies of {member.name}")
        replies = bench.open(member.spec).generate(asked, [_TOKENS] * len(asked), 1, len(asked))
        evidence = yield from bench.evidence([Scorable(until_silent(reply, bench.silent)) for reply in replies])
        found = divergence_interval(evidence, member.name, centre.name)
        charge = 0.0
        if draws:
            moved = yield from bench.moved(draws, _TOKENS, list)
            charge = measure_charges(moved, bench.honest).members[member.name]
    sizes = [_sizes(evidence[name]) for name in (member.name, other.name)]
    return Measured(found, found.tokens / max(len(replies), 1), charge, *sizes)


def _sizes(replies: Sequence[TokenEvidence]) -> Floats:
    """Mean divergence from the reference per reply, over the tokens that count."""
    means = [rows["kl_cand_ref"][rows["silent"] == 0] for rows in replies]
    return np.array([float(one.mean()) for one in means if len(one)])
