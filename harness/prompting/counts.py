"""The count tier: nothing is known of a host but what it bills. Each request asks for one token of output.

repeatable? -> whose tokenizer? -> probes, each chosen to split what is still possible -> diagnosis -> verdict.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from pydantic import JsonValue

from harness.comparisons.counts import CountRow, structure
from harness.prompting.evidence import card_of, family_of
from harness.prompts.cases import load_cases
from harness.prompts.conversation import Conversation, Dialect
from harness.prompts.deviations import Deviation, profiles, supported
from harness.prompts.diagnosis import diagnose
from harness.prompts.faults import LIBRARY, Fault
from harness.prompts.jinja.process import PromptProcess
from harness.prompts.probes import can_be_sent, choose_probes
from harness.prompts.slopes import LONG, SLOPES, slope_conversation
from harness.prompts.variants import Bench, Prompt
from harness.reports.prompt_card import PromptCard
from harness.targets.endpoint.chat import SMALLEST, Count, ask_count
from harness.targets.endpoint.client import Client
from harness.targets.prompt_source import PromptSource
from harness.verdicts.prompt_counts import CountsIn, Explanation, judge_counts

MOST_REQUESTS = 40
_REPEATS = 4
_BLURRED = 2  # tokens by which a text may grow otherwise where it meets the template's words
_MOST_MISSING = 3  # probes in a row that a host may refuse before it is left alone

Vector = tuple[int | None, ...]


@dataclass
class _Asked:
    """What was asked so far. ``smallest`` is the way of asking for next to nothing that the host accepts."""

    client: Client
    smallest: dict[str, JsonValue] = field(default_factory=dict)
    rows: list[CountRow] = field(default_factory=list)

    @property
    def left(self) -> int:
        """Requests that the budget still allows."""
        return MOST_REQUESTS - self.client.sent + self.before

    before: int = 0

    def ask(self, kind: str, case: str, number: int, conversation: Conversation, expected: int) -> CountRow:
        """Ask once and keep the row; beyond the budget nothing is sent."""
        spent = Count(None, f"the budget of {MOST_REQUESTS} requests was spent on attempts that failed")
        found = ask_count(self.client, conversation, self.smallest) if self.left > 0 else spent
        row = CountRow(
            kind=kind,  # type: ignore[arg-type]
            case=case,
            number=number,
            request=conversation.model_dump(mode="json"),
            expected=expected,
            billed=found.count,
            problem=found.problem,
        )
        self.rows.append(row)
        return row


@dataclass(frozen=True, slots=True)
class _Hypothesis:
    """An engine's deliberate rules, and one fault or none; ``vector`` is what each conversation would be billed."""

    engine: str
    fault: str
    vector: Vector


def probe_counts(process: PromptProcess, source: PromptSource, client: Client, engine: str = "") -> PromptCard:
    """Compare the prompts of a reference with what an endpoint bills for the same requests, in at most 40 requests."""
    clock = datetime.datetime.now(datetime.UTC).replace(hour=12, minute=0, second=0, microsecond=0, tzinfo=None)
    bench = Bench(process, family_of(source), source.tokenizer, Dialect(clock=clock.isoformat()))
    asked = _Asked(client, before=client.sent)
    evidence = _collected(bench, source, asked, engine)
    return card_of(evidence, judge_counts(evidence), clock.isoformat())


def _collected(bench: Bench, source: PromptSource, asked: _Asked, engine: str) -> CountsIn:
    """All that is asked, in order; each stage ends the probe where the next would mean nothing."""
    plain = Conversation(messages=({"role": "user", "content": "a"},))

    def facts(stage: str, **more: object) -> CountsIn:
        return CountsIn(
            reference=source.name, template=source.template_digest, tokenizer=source.tokenizer_digest,
            endpoint=asked.client.address.shown, stage=stage, rows=tuple(asked.rows),  # type: ignore[arg-type]
            requests=asked.client.sent - asked.before, **more,  # type: ignore[arg-type]
        )  # fmt: skip

    (sound,) = bench.prompts([plain])
    if sound.count is None:
        return facts("reference")
    if not _first(asked, plain, sound.count):
        return facts("usage")
    for _ in range(_REPEATS - 2):
        asked.ask("repeat", "minimal", 0, plain, sound.count)
    slopes = {name: slope_conversation(*text) for name, text in (SLOPES | {"long": LONG}).items()}
    for (name, conversation), prompt in zip(slopes.items(), bench.prompts(list(slopes.values())), strict=True):
        asked.ask("slope", name, 0, conversation, prompt.count or 0)
    if _unrepeatable(asked.rows):
        return facts("repeat")
    cases = load_cases(own_control=bench.family.turn_end)
    pool = [(case.id, n, c) for case in cases for n, c in enumerate(case.conversations) if can_be_sent(c)]
    conversations = [*slopes.values(), *(c for _, _, c in pool)]
    known = profiles(engine, "")
    every = _hypotheses(bench, conversations, known)
    order = _ask_probes(asked, pool, len(slopes), every)
    asked.ask("repeat", "minimal", 0, plain, sound.count)
    if _unrepeatable(asked.rows):
        return facts("repeat")
    taken = [*range(len(slopes)), *order]
    billed = [row.billed for row in asked.rows if row.kind != "repeat"]
    explanations, rules, acting = _explained(
        bench, [conversations[k] for k in taken], billed, known, recognised=bool(engine)
    )
    answered = [k for k, count in zip(taken, billed, strict=True) if count is not None]
    effective = {h.fault for h in every if not h.engine and h.fault and h.vector != every[0].vector}
    seen = {
        h.fault for h in every if not h.engine and h.fault and any(h.vector[k] != every[0].vector[k] for k in answered)
    }
    changing = _changing(bench, conversations)
    return facts(
        "done",
        explanations=tuple(explanations),
        deviations=tuple(entry.name for entry in acting),
        engine=rules,
        structure=tuple(_structure(bench, [conversations[k] for k in taken], asked.rows, known)),
        foreign=tuple(_foreign(asked.rows)),
        faults=len(changing),
        invisible=tuple(sorted(changing - seen)),
        unasked=tuple(sorted(effective - seen)),
    )


def _first(asked: _Asked, plain: Conversation, expected: int) -> bool:
    """The first two requests, in the least way that the host accepts; False where it tells no counts."""
    for smallest in SMALLEST:
        asked.smallest = dict(smallest)
        found: Count = ask_count(asked.client, plain, asked.smallest)
        if not found.refused:
            break
    asked.ask("repeat", "minimal", 0, plain, expected)
    row = asked.ask("repeat", "minimal", 0, plain, expected)
    return row.billed is not None


def _unrepeatable(rows: Sequence[CountRow]) -> bool:
    return len({row.billed for row in rows if row.kind == "repeat"}) > 1


def _counts(prompts: Sequence[Prompt]) -> Vector:
    return tuple(prompt.count for prompt in prompts)


def _hypotheses(
    bench: Bench, conversations: Sequence[Conversation], known: dict[str, tuple[Deviation, ...]]
) -> list[_Hypothesis]:
    """The sound reference first; then every fault, under the reference's rules and under each engine's."""
    found = [_Hypothesis("", "", _counts(bench.prompts(conversations)))]
    seen = {found[0].vector}
    for engine, profile in {"": (), **known}.items():
        base = [entry.fault for entry in profile]
        vector = _counts(bench.prompts(conversations, base))
        if engine and vector in seen:
            continue  # the engine's rules move no count here
        if engine:
            found.append(_Hypothesis(engine, "", vector))
        seen.add(vector)
        found += [
            _Hypothesis(engine, fault.name, _counts(bench.prompts(conversations, [*base, fault]))) for fault in LIBRARY
        ]
    return found


def _ask_probes(
    asked: _Asked, pool: Sequence[tuple[str, int, Conversation]], offset: int, every: list[_Hypothesis]
) -> list[int]:
    """Ask one probe after the other, each the one that best splits what still fits; returns their places.

    Where only one reading is left, or none, the rest of the budget goes to the probes that split all hypotheses best,
    because a pass rests on what was asked.
    """
    sound = every[0].vector
    lengths = [10**6 if count is None else count for count in sound]
    usable: Vector = tuple(None if k < offset else count for k, count in enumerate(sound))
    plan = list(choose_probes(usable, {str(n): h.vector for n, h in enumerate(every)}, asked.left - 1, lengths))
    alive = [
        h for h in every if all(_fits(h, k, row) for k, row in enumerate(r for r in asked.rows if r.kind == "slope"))
    ]
    order: list[int] = []
    missing = 0
    while plan and asked.left > 1 and missing < _MOST_MISSING:
        rest: Vector = tuple(count if k in plan else None for k, count in enumerate(sound))
        best = choose_probes(rest, {str(n): h.vector for n, h in enumerate(alive)}, 1, lengths)
        place = best[0] if best else plan[0]
        plan.remove(place)
        case, number, conversation = pool[place - offset]
        row = asked.ask("probe", case, number, conversation, sound[place] or 0)
        order.append(place)
        missing = missing + 1 if row.billed is None else 0
        alive = [h for h in alive if _fits(h, place, row)]
    return order


def _fits(hypothesis: _Hypothesis, place: int, row: CountRow) -> bool:
    return row.billed is None or hypothesis.vector[place] == row.billed


def _foreign(rows: Sequence[CountRow]) -> list[str]:
    """Sorts of text that grow otherwise than with the reference's tokenizer, once what every request has is taken off."""
    base = next(row.difference for row in rows if row.kind == "repeat")
    slopes = [row for row in rows if row.kind == "slope" and row.billed is not None]
    return [row.case for row in slopes if abs(row.difference - base) > _BLURRED]


def _explained(
    bench: Bench,
    conversations: Sequence[Conversation],
    billed: Sequence[int | None],
    known: dict[str, tuple[Deviation, ...]],
    *,
    recognised: bool,
) -> tuple[list[Explanation], str, tuple[Deviation, ...]]:
    """Faults that reproduce the whole vector, under the rules of the reference or of one engine.

    Rules alone are preferred to any fault, and the reference's rules to those of an engine. Returned are the faults, or
    else the engine whose rules alone reproduce the counts, with those of its deviations that act.
    """

    def count(prompt: Prompt) -> int | None:
        return prompt.count

    explanations: list[Explanation] = []
    found: dict[str, tuple[Deviation, ...]] = {"": ()}
    for engine, profile in known.items():
        present = supported(bench, conversations, billed, count, profile)
        acting = _acting(bench, conversations, profile)
        # an engine that nobody recognised must show all of its rules that show here, or it is not that engine
        if present and (recognised or acting <= {entry.name for entry in present}):
            found[engine] = present
    for engine, present in found.items():
        diagnosis = diagnose(bench, conversations, billed, count, base=[entry.fault for entry in present])
        acting = _acting(bench, conversations, present)
        if not diagnosis.differing:
            return [], engine, tuple(entry for entry in present if entry.name in acting)
        rules = tuple(entry.name for entry in present)
        explanations += [Explanation(engine=engine, faults=names, rules=rules) for names in diagnosis.named]
    fewest = min((len(one.faults) for one in explanations), default=0)
    return [one for one in explanations if len(one.faults) == fewest], "", ()


def _acting(bench: Bench, conversations: Sequence[Conversation], profile: Sequence[Deviation]) -> set[str]:
    """Names of the deviations that move some count on top of the others."""
    whole = _counts(bench.prompts(conversations, [entry.fault for entry in profile]))
    others = {entry.name: [other.fault for other in profile if other is not entry] for entry in profile}
    return {name for name, rest in others.items() if _counts(bench.prompts(conversations, rest)) != whole}


def _structure(
    bench: Bench,
    conversations: Sequence[Conversation],
    rows: Sequence[CountRow],
    known: dict[str, tuple[Deviation, ...]],
) -> list[str]:
    """What the differences depend on, as simply as can be: from the reference's counts or those under an engine's rules."""
    asked = [row for row in rows if row.kind != "repeat"]
    ways: list[tuple[Literal[1, 2], str]] = [(parts, engine) for parts in (1, 2) for engine in ("", *known)]
    for parts, engine in ways:
        profile = known.get(engine, ())
        expected = _counts(bench.prompts(conversations, [entry.fault for entry in profile]))
        moved = [
            row.model_copy(update={"expected": row.expected if count is None else count})
            for row, count in zip(asked, expected, strict=True)
        ]
        if found := structure(moved, parts):
            return [f"{sentence} under {engine}'s own rules" if engine else sentence for sentence in found]
    return []


def _changing(bench: Bench, conversations: Sequence[Conversation]) -> set[str]:
    """Faults that change the ids of some conversation at all."""
    sound = bench.prompts(conversations)

    def changes(fault: Fault) -> bool:
        return any(a.ids != b.ids for a, b in zip(sound, bench.prompts(conversations, [fault]), strict=True))

    return {fault.name for fault in LIBRARY if changes(fault)}
