"""The self-render tier: one host is asked by conversations, and by the prompts that the reference makes of them, as ids.

what is asked -> both forms, the prompt three times -> known faults as prompts -> the worst again -> verdict.
"""

from __future__ import annotations

import datetime
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from harness.comparisons.first_token import first_token_gap, shared_names
from harness.prompting.evidence import card_of, family_of
from harness.prompts.cases import load_cases
from harness.prompts.conversation import Conversation, Dialect
from harness.prompts.deviations import REGISTRY, Deviation
from harness.prompts.faults import LIBRARY
from harness.prompts.jinja.process import PromptProcess
from harness.prompts.probes import can_be_sent, choose_probes
from harness.prompts.variants import Bench, Prompt
from harness.reports.prompt_card import PromptCard
from harness.targets.endpoint.client import Client
from harness.targets.endpoint.replies import Reply, ask_reply
from harness.targets.endpoint.served import arguments_as_text
from harness.targets.endpoint.told import Told
from harness.targets.endpoint.ways import Question
from harness.targets.prompt_source import PromptSource
from harness.targets.sampler import Sampler
from harness.verdicts.self_render import LEAST, PAIRS, FaultRow, FormRow, SelfRenderIn, Stage, judge_self_render

_MOST = 14  # conversations
_MOST_HABITS = 16  # ways in which every prompt may be made otherwise on purpose
_PLAIN = Conversation(messages=({"role": "user", "content": "What day is it today?"},))
_MOST_REQUESTS = 240
_NAMED_ALIKE = 0.3  # of the tokens of some place, that both forms must name alike
_TRIED = 3  # differing conversations on which a fault must hold before it is tried on all

Ids = tuple[int, ...]
Answers = tuple[Told | None, ...]


def self_render(process: PromptProcess, source: PromptSource, client: Client) -> PromptCard:
    """Compare what a host makes of conversations with the reference's prompts, by its answers to both; the weights cancel."""
    asked, before = _Asked(client), client.sent
    bench, clock, habits = _as_the_host(process, source, asked)
    evidence = _collected(bench, source, asked, before, habits)
    return card_of(evidence, judge_self_render(evidence), clock)


def _as_the_host(process: PromptProcess, source: PromptSource, asked: _Asked) -> tuple[Bench, str, list[Deviation]]:
    """The reference under the clock of the host and with those habits of engines that show in every prompt.

    Time zones part: it is today, or the day before or after. Of all that is possible, what is answered most as the host
    answers a plain conversation.
    """
    noon = datetime.datetime.now(datetime.UTC).replace(hour=12, minute=0, second=0, microsecond=0, tzinfo=None)
    dated = any(word in source.template + source.tool_template for word in ("strftime_now", "date_string"))
    days = [(noon + datetime.timedelta(days=shift)).isoformat() for shift in ((0, -1, 1) if dated else (0,))]
    benches = {day: Bench(process, family_of(source), source.tokenizer, Dialect(clock=day)) for day in days}
    first = benches[days[0]]
    sound = first.prompts([_PLAIN])[0].ids
    everywhere = [entry for entry in REGISTRY if first.prompts([_PLAIN], [entry.fault])[0].ids != sound]
    subsets = [list(some) for size in range(len(everywhere) + 1) for some in itertools.combinations(everywhere, size)]
    ways = [(day, some) for some in subsets for day in days][:_MOST_HABITS]  # the fewest habits first, and today
    prompts = [benches[day].prompts([_PLAIN], [entry.fault for entry in some])[0].ids or () for day, some in ways]
    if len(set(prompts)) == 1 or not all(prompts):
        return first, days[0], []
    (chat,) = asked.chats([_PLAIN])
    gaps = [first_token_gap(told, chat.told) for told in asked.prompts(prompts)]
    best = min(_or_far(gap) for gap in gaps)
    day, some = ways[next(k for k, gap in enumerate(gaps) if _or_far(gap) <= best + LEAST)]
    return benches[day], day, some


def _or_far(gap: float | None) -> float:
    return math.inf if gap is None else gap


@dataclass(frozen=True, slots=True)
class _Place:
    """One conversation with its case, the reference's ids, and those of every fault that changes them."""

    case: str
    number: int
    conversation: Conversation
    ids: Ids
    faulty: dict[str, Ids]


@dataclass
class _Asked:
    """Asks for the log-probabilities of the next token; the same prompt is asked once unless it is asked ``again``.

    Every pass has an order of its own: what a host computes for one prompt depends a little on what it computed before, and a
    repetition in the same order would repeat that, too.
    """

    client: Client
    kept: dict[tuple[int, Ids], Told | None] = field(default_factory=dict)
    ways: dict[str, int] = field(default_factory=dict)
    sent: int = 0

    def tell(self, questions: Sequence[Question]) -> list[Reply]:
        """Answers of one token; the very first of each form alone, because it tells in which way the host is asked."""
        found: list[Reply] = []
        for part in (
            (questions[:1], questions[1:]) if questions and questions[0].path not in self.ways else (questions,)
        ):
            jobs = [
                partial(
                    ask_reply, self.client, one, 1, self.ways.get(one.path, 0), Sampler(), self.sent + n, "self-render"
                )
                for n, one in enumerate(part)
            ]
            self.sent += len(jobs)
            replies = dict(self.client.together(jobs))
            found += [replies[n] for n in range(len(part))]
            if part:
                self.ways.setdefault(part[0].path, found[-len(part)].way)
        return found

    def prompts(self, asked: Sequence[Ids], again: int = 0) -> list[Told | None]:
        """What is told behind prompts of ids."""
        new = [ids for ids in dict.fromkeys(asked) if (again, ids) not in self.kept]
        blank = Conversation(messages=({"role": "user", "content": "a"},))
        new = [new[k] for k in np.random.default_rng(again).permutation(len(new))]
        for ids, reply in zip(new, self.tell([Question(blank, ids) for ids in new]), strict=True):
            self.kept[again, ids] = reply.told if reply.prompt in {None, len(ids)} else None
        return [self.kept[again, ids] for ids in asked]

    def new(self, asked: Sequence[Ids], again: int) -> int:
        """How many prompts were not asked in a pass yet."""
        return sum((again, ids) not in self.kept for ids in dict.fromkeys(asked))

    def chats(self, asked: Sequence[Conversation]) -> list[Reply]:
        """What is told behind conversations."""
        order = np.random.default_rng(self.sent).permutation(len(asked)).tolist()
        replies = dict(zip(order, self.tell([Question(asked[k]) for k in order]), strict=True))
        wired = [(k, arguments_as_text(asked[k])) for k in range(len(asked)) if replies[k].lost]
        again = [
            (k, one) for k, one in wired if one != asked[k]
        ]  # some hosts take the arguments of calls as text alone
        replies |= dict(zip((k for k, _ in again), self.tell([Question(one) for _, one in again]), strict=True))
        return [replies[k] for k in range(len(asked))]


def _collected(
    bench: Bench, source: PromptSource, asked: _Asked, before: int, habits: Sequence[Deviation]
) -> SelfRenderIn:
    client = asked.client

    def facts(stage: Stage, **more: object) -> SelfRenderIn:
        return SelfRenderIn(
            reference=source.name, template=source.template_digest, tokenizer=source.tokenizer_digest,
            endpoint=client.address.shown, stage=stage, requests=client.sent - before,
            habits=tuple(entry.name for entry in habits), **more,  # type: ignore[arg-type]
        )  # fmt: skip

    places, unasked = _places(bench, habits)
    if not places:
        return facts("reference")
    plain = bench.prompts([_PLAIN], [entry.fault for entry in habits])[0].ids or places[0].ids
    (first,) = asked.tell([Question(_PLAIN, plain)])
    if first.lost or first.prompt != len(plain):
        return facts("ids")
    (chat,) = asked.chats([_PLAIN])
    if first_token_gap(first.told, first.told) is None or first_token_gap(first.told, chat.told) is None:
        return facts("logprobs")
    heard = _listen(asked, places, facts)
    if max(shared_names(a[0], b[0]) for a, b in zip(heard.chats, heard.prompts, strict=True)) < _NAMED_ALIKE:
        return facts("logprobs")
    rows = heard.rows(places)
    found = facts("done", rows=tuple(rows))
    faults = _shown(asked, places, heard, found)
    named, exceeding = _named(asked, places, heard, found) if found.differing else ((), 0)
    acting = {name for place in places for name in place.faulty}
    hidden = tuple(sorted(acting - {row.fault for row in faults}))
    return facts(
        "done",
        rows=tuple(rows),
        unasked=tuple(unasked),
        hidden=hidden,
        faults=tuple(faults),
        named=named,
        exceeding=exceeding,
    )


def _places(bench: Bench, own: Sequence[Deviation]) -> tuple[list[_Place], list[str]]:
    """Conversations that tell most faults apart and that no other engine changes on purpose; and the faults that change none.

    ``own`` are habits that the host shows everywhere: they are in every prompt.
    """
    base = [entry.fault for entry in own]
    cases = load_cases(own_control=bench.family.turn_end)
    pool = [(case.id, n, c) for case in cases for n, c in enumerate(case.conversations) if can_be_sent(c)]
    conversations = [conversation for _, _, conversation in pool]
    sound = [prompt.ids for prompt in bench.prompts(conversations, base)]
    (plain,) = bench.prompts([_PLAIN], base)
    local = [e.fault for e in REGISTRY if bench.prompts([_PLAIN], [*base, e.fault])[0].ids == plain.ids]
    habits = [bench.prompts(conversations, [*base, fault]) for fault in local]
    kept = [k for k, ids in enumerate(sound) if ids and all(prompts[k].ids == ids for prompts in habits)]
    effects = {fault.name: bench.prompts(conversations, [*base, fault]) for fault in LIBRARY}
    vectors = {name: [_number(prompts[k], sound[k]) for k in kept] for name, prompts in effects.items()}
    lengths = [len(sound[k] or ()) for k in kept]
    chosen = choose_probes([0] * len(kept), vectors, _MOST, lengths)
    rest = [n for n in range(len(kept)) if n not in chosen]
    places = []
    for n in (*chosen, *sorted(rest, key=lambda n: lengths[n]))[:_MOST]:
        k = kept[n]
        faulty = {
            name: prompts[k].ids or ()
            for name, prompts in effects.items()
            if prompts[k].ids and prompts[k].ids != sound[k]
        }
        places.append(_Place(*pool[k], sound[k] or (), faulty))
    acting = {name for place in places for name in place.faulty}
    changing = {name for name, vector in vectors.items() if any(vector)}
    return places, sorted(changing - acting)


def _number(prompt: Prompt, sound: Ids | None) -> int | None:
    """A prompt as a number that tells it from others: 0 for the reference's."""
    return 0 if prompt.ids == sound or not prompt.ids else 1 + hash(prompt.ids) % (1 << 60)


@dataclass(frozen=True, slots=True)
class _Heard:
    """All answers to each place: to the conversation, and to the prompt."""

    chats: list[Answers]
    prompts: list[Answers]
    bills: list[int | None]  # prompt tokens of each conversation

    def rows(self, places: Sequence[_Place]) -> list[FormRow]:
        """The answers that are nearest to each other count: a host is slightly different from one batch to the next."""
        rows = []
        for place, chats, prompts, billed in zip(places, self.chats, self.prompts, self.bills, strict=True):
            gap = _nearest(chats, prompts)
            rows.append(
                FormRow(
                    case=place.case, number=place.number, request=place.conversation.model_dump(mode="json"), gap=gap,
                    expected=len(place.ids), billed=billed,
                    floor=_farthest(prompts), problem="" if gap is not None else "nothing was told",
                )
            )  # fmt: skip
        return rows


def _listen(asked: _Asked, places: Sequence[_Place], facts: Callable[..., SelfRenderIn]) -> _Heard:
    """Both forms, the prompts before and after the conversations; where the forms differ, the conversation again."""
    ids = [place.ids for place in places]
    before = asked.prompts(ids), asked.prompts(ids, again=1)
    replies = asked.chats([place.conversation for place in places])
    chats: list[Answers] = [(one.told,) for one in replies]
    prompts: list[Answers] = list(zip(*before, asked.prompts(ids, again=2), strict=True))
    heard = _Heard(chats, prompts, [one.prompt for one in replies])
    differing = {(row.case, row.number) for row in facts("done", rows=tuple(heard.rows(places))).differing}
    again = [k for k, place in enumerate(places) if _key(place) in differing]
    for k, one in zip(again, asked.chats([places[k].conversation for k in again]), strict=True):
        chats[k] = (*chats[k], one.told)
    return heard


def _shown(asked: _Asked, places: Sequence[_Place], heard: _Heard, found: SelfRenderIn) -> list[FaultRow]:
    """Every fault on one conversation: on the most different one that it changes, or the shortest."""
    worst = {(row.case, row.number): -(row.gap or 0.0) for row in found.differing}
    order = sorted(range(len(places)), key=lambda k: (worst.get(_key(places[k]), 0.0), len(places[k].ids)))
    heard_at = [k for k in order if heard.chats[k][0] is not None and heard.prompts[k][0] is not None]
    names = sorted({name for k in heard_at for name in places[k].faulty})
    order = heard_at
    at = [next(k for k in order if name in places[k].faulty) for name in names]
    faulty = asked.prompts([places[k].faulty[name] for name, k in zip(names, at, strict=True)])
    rows = []
    for name, k, one in zip(names, at, faulty, strict=True):
        sound, host = _nearest((one,), heard.prompts[k]), _nearest((one,), heard.chats[k])
        if sound is not None and host is not None:
            place = places[k]
            rows.append(FaultRow(fault=name, case=place.case, number=place.number, from_sound=sound, from_host=host))
    return rows


def _named(asked: _Asked, places: Sequence[_Place], heard: _Heard, found: SelfRenderIn) -> tuple[tuple[str, ...], int]:
    """Faults whose prompts are answered as all conversations are, and how often the most different one differs again."""
    at = {_key(place): k for k, place in enumerate(places)}
    differing = [at[row.case, row.number] for row in found.differing]
    others = [at[row.case, row.number] for row in found.measured if at[row.case, row.number] not in differing]
    alive = sorted({name for k in differing for name in places[k].faulty})
    for part in (differing[:1], differing[1:_TRIED], differing[_TRIED:], others):
        wanted = [(name, k) for name in alive for k in part]
        prompts = [places[k].faulty.get(name, places[k].ids) for name, k in wanted]
        if asked.sent + asked.new(prompts, 0) + asked.new(prompts, 1) + 3 * PAIRS > _MOST_REQUESTS:
            return (), 0
        answers = zip(asked.prompts(prompts), asked.prompts(prompts, again=1), strict=True)
        wrong = {
            name
            for (name, k), some in zip(wanted, answers, strict=True)
            if _or_far(_nearest(some, heard.chats[k])) > found.tolerance
        }
        alive = [name for name in alive if name not in wrong]
    if not alive:
        return (), 0
    worst = places[differing[0]]
    exceeding = 0
    for n in range(PAIRS):
        exceeding += _odd_one_out(asked, worst, n) > found.tolerance
    return tuple(alive), exceeding


def _odd_one_out(asked: _Asked, place: _Place, number: int) -> float:
    """By how much a conversation is further from two answers to its prompt than these are from each other; in random order."""
    prompts: list[Told | None] = []
    for turn in np.random.default_rng(number).permutation(3):
        if turn:
            prompts += asked.prompts([place.ids], again=2 + 2 * number + int(turn))
        else:
            (chat,) = asked.chats([place.conversation])
    gaps = [first_token_gap(one, chat.told) for one in prompts] + [first_token_gap(*prompts)]
    if None in gaps:
        return 0.0
    return min(gaps[0] or 0.0, gaps[1] or 0.0) - (gaps[2] or 0.0)


def _farthest(answers: Answers) -> float | None:
    """The largest gap between repetitions; None unless all of them can be compared."""
    gaps = [first_token_gap(one, other) for one, other in itertools.combinations(answers, 2)]
    return None if None in gaps else max(gap or 0.0 for gap in gaps)


def _nearest(some: Answers, others: Answers) -> float | None:
    """The smallest gap between any two answers."""
    gaps = [first_token_gap(one, other) for one in some for other in others]
    return min((gap for gap in gaps if gap is not None), default=None)


def _key(place: _Place) -> tuple[str, int]:
    return place.case, place.number
