"""What a difference of prompts costs: both prompts on the reference's own weights, beside a ladder of rounding.

differing prompts -> a reply sampled to the sound one -> the reference with either prompt -> rungs -> means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.comparisons.counts import CountRow
from harness.comparisons.impact import Impact, weigh
from harness.errors import IncompatibleCandidate
from harness.observations.reference_cache import ReferenceCache
from harness.prompting.evidence import family_of
from harness.prompts.conversation import Conversation, Dialect
from harness.prompts.deviations import REGISTRY
from harness.prompts.faults import fault
from harness.prompts.jinja.process import PromptProcess
from harness.prompts.sequences import Sequence as Scored
from harness.prompts.sequences import reply_sequence
from harness.prompts.variants import Bench
from harness.reports.prompt_card import PromptCard
from harness.targets.alternatives import ladder
from harness.targets.batches import Batch
from harness.targets.checkpoint.target import CheckpointTarget, Workers
from harness.targets.opening import open_target
from harness.targets.prompt_source import open_prompt_source
from harness.targets.spec import Runtime, parse_spec
from harness.verdicts.self_render import FormRow, SelfRenderIn
from harness.verdicts.tokens_in import TokensIn

BITS = (8, 6, 5, 4, 3)
MOST = 12  # conversations; one of each case before a second of any
REPLY = 24  # tokens
_SEED = 20260115


@dataclass(frozen=True, slots=True)
class _Pair:
    """One conversation as both sides put it to the model."""

    name: str
    sound: tuple[int, ...]
    other: tuple[int, ...]


def with_impact(card: PromptCard, reference: str, cache: Path, threads: int = 0) -> PromptCard:
    """The same card with the cost of its differences; unchanged where nothing that was seen differs.

    Loads the reference's weights in an isolated process. Raises a TargetRefused for a reference without weights, and
    for prompts whose ids the reference does not have.
    """
    pairs = _chosen(_differing(card, reference, cache))
    if not pairs:
        return card
    spec = parse_spec(f"gguf:{reference}" if reference.endswith(".gguf") else reference, Runtime(threads=threads))
    with Workers() as workers:
        target = open_target(spec, workers, cache)
        impact = _measured(target, pairs, workers, cache)
        return card.model_copy(update={"impact": impact}) if impact else card


def _differing(card: PromptCard, reference: str, cache: Path) -> list[_Pair]:
    evidence = card.evidence
    if isinstance(evidence, TokensIn):
        return [
            _Pair(f"{pair.case}[{pair.number}]", pair.reference_ids, pair.candidate_ids)
            for pair in evidence.pairs
            if pair.reference_ids and pair.candidate_ids and pair.reference_ids != pair.candidate_ids
        ]
    # no prompt was seen: they are those of the explanation, which reproduces all that was
    rows: Sequence[CountRow | FormRow]
    if isinstance(evidence, SelfRenderIn):
        base, faults, rows = [], evidence.named[:1], evidence.differing
    else:
        best = next(iter(evidence.explanations), None)
        faults = best.faults if best else ()
        base = [e.fault for e in REGISTRY if best and best.engine in e.engines and e.name in best.rules]
        rows = [row for row in evidence.rows if row.kind == "probe" and row.difference]
    if not faults:
        return []
    source = open_prompt_source(reference, cache)
    conversations = [Conversation.model_validate(row.request) for row in rows]
    with PromptProcess() as process:
        bench = Bench(process, family_of(source), source.tokenizer, Dialect(clock=card.clock))
        sound = bench.prompts(conversations)
        other = bench.prompts(conversations, [*base, *(fault(name) for name in faults)])
    return [
        _Pair(f"{row.case}[{row.number}]", a.ids, b.ids)
        for row, a, b in zip(rows, sound, other, strict=True)
        if a.ids and b.ids and a.ids != b.ids
    ]


def _chosen(pairs: Sequence[_Pair]) -> list[_Pair]:
    """One conversation of each case, then second ones, up to the most."""
    turn: dict[str, int] = {}
    ranked: list[tuple[int, int, _Pair]] = []
    for pair in pairs:
        case = pair.name.partition("[")[0]
        turn[case] = turn.get(case, 0) + 1
        ranked.append((turn[case], len(ranked), pair))
    return [pair for _, _, pair in sorted(ranked, key=lambda entry: entry[:2])][:MOST]


def _measured(target: CheckpointTarget, pairs: Sequence[_Pair], workers: Workers, cache: Path) -> Impact | None:
    vocabulary = target.capabilities().vocabulary
    if any(max(pair.other) >= vocabulary for pair in pairs):
        raise IncompatibleCandidate(
            "the candidate's prompts hold ids that the reference does not have",
            where=target.spec.shown,
            fix="leave --impact out: with another vocabulary the cost of a prompt cannot be told apart from it",
        )
    kept = ReferenceCache(cache, target, target.capabilities())
    kept.prepare()
    replies = kept.replies([pair.sound for pair in pairs], [REPLY] * len(pairs), _SEED)
    answered = [(pair, reply) for pair, reply in zip(pairs, replies, strict=True) if reply]
    if not answered:  # the reference has nothing to say to any of them
        return None
    sound = [_sequence(pair.name, pair.sound, reply) for pair, reply in answered]
    other = [_sequence(pair.name, pair.other, reply) for pair, reply in answered]
    for sequence in sound:
        if kept.missing([sequence]):
            kept.fill([sequence], vocabulary)

    def divergences(side: CheckpointTarget, sequences: Sequence[Scored]) -> list[NDArray[np.float64]]:
        found = []
        for mine, sequence in zip(sound, sequences, strict=True):
            rows = side.score(Batch.of([sequence]), kept.folder, kept.keys([mine]), vocabulary)
            found.append(rows["kl_ref_cand"].astype(np.float64))
        return found

    faulty = divergences(target, other)
    rungs = {}
    for bits, rung in zip(BITS, ladder(target.spec, BITS), strict=False):
        rungs[bits] = divergences(open_target(rung.spec, workers, cache), sound)
    return weigh([pair.name for pair, _ in answered], faulty, rungs)


def _sequence(name: str, prompt: tuple[int, ...], reply: tuple[int, ...]) -> Scored:
    return reply_sequence(name, "template", name, prompt, [0] * len(prompt), reply)
