"""Search for requests on which a template does what no usual conversation shows; runs in the child only.

Decisions that the other template does not take in the same way and place are watched while the suite's conversations are
rendered. For every one that was not seen in all its ways, requests are made of what it was seen to look for (``mutations.py``),
round by round, because one branch may hide another. What is still not seen in the end is told, never passed over.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from jinja2 import nodes

from harness.prompts.conversation import Conversation, Dialect, Exploration, Probe, Unseen
from harness.prompts.jinja.decisions import Decision
from harness.prompts.jinja.environment import Template
from harness.prompts.jinja.mutations import DAYS, Mutation, mutations
from harness.prompts.jinja.program import same_program
from harness.prompts.jinja.tracing import PASSED, Tracer

#: Renderings that one exploration may cost, and how many of them may be made for one decision in one round.
_MOST_RUNS = 6000
_FOR_ONE = 420
_ROUNDS = 6
_SEEDS = 3
_MOST_PROBES = 160
_SPREAD = 9  # further conversations to which a change that showed something is made
_LARGEST = 4000  # the largest number that is taken for a count

Bounded = Callable[[Callable[[], None]], Any]


@dataclass(slots=True)
class _Run:
    """A conversation at a time of day, and the changes that made it."""

    conversation: Conversation
    clock: str
    made: tuple[Mutation, ...] = ()


@dataclass(slots=True)
class _Search:
    tracer: Tracer
    bounded: Bounded
    until: float
    runs: list[_Run] = field(default_factory=list)
    tried: set[str] = field(default_factory=set)
    kept: list[tuple[int, str]] = field(default_factory=list)  # the number of a run, and the decision that it showed
    left_out: int = 0

    def render(self, run: _Run) -> list[Decision]:
        """Render once; the decisions that went a way in which they had not been seen."""
        before = [len(decision.open) for decision in self.tracer.decisions]
        self.tracer.enter(len(self.runs), run.clock)
        self.runs.append(run)
        self.bounded(lambda: self.tracer.draw(run.conversation))
        now = [len(decision.open) for decision in self.tracer.decisions]
        return [d for d, a, b in zip(self.tracer.decisions, before, now, strict=True) if b < a]

    @property
    def spent(self) -> bool:
        """Whether no more may be rendered."""
        return time.process_time() > self.until or len(self.runs) >= _MOST_RUNS


def explore(
    source: str,
    other: str,
    variables: dict[str, Any],
    conversations: Sequence[Conversation],
    *,
    seconds: float,
    bounded: Bounded,
) -> Exploration:
    """Probes for what ``source`` decides and ``other`` does not, and what could not be shown."""
    until = time.process_time() + seconds  # a busy machine must not decide what is found
    dialect = Dialect()
    ours, theirs = Template(source, dialect, variables), Template(other, dialect, variables)
    trees = ours.environment.parse(source), theirs.environment.parse(other)
    if same_program(*trees):
        return Exploration()
    search = _Search(Tracer(ours, Tracer(theirs, set(), runs=False).keys), bounded, until)
    for conversation in conversations:
        search.render(_Run(conversation, dialect.clock))
    numbers = _numbers(trees[0])
    options = tuple(sorted(_free(trees[0])))
    dated = "strftime_now" in source
    for _ in range(_ROUNDS):
        shown = len(search.kept)
        for decision in list(search.tracer.decisions):
            if not decision.open or not decision.seen:
                continue
            if search.spent:
                search.left_out += 1
            else:
                _try(search, decision, numbers, options, dated=dated)
        if len(search.kept) == shown or search.spent:
            break
    unseen = [d for d in search.tracer.decisions if d.open]
    probes = list(_probes(search, conversations, dated=dated))
    return Exploration(
        decisions=len(search.tracer.decisions),
        probes=tuple(probes[:_MOST_PROBES]),
        unseen=tuple(Unseen(line=d.line, kind=d.kind, words=d.words) for d in unseen),
        rendered=len(search.runs),
        left_out=search.left_out + max(len(probes) - _MOST_PROBES, 0),
    )


def _try(search: _Search, decision: Decision, numbers: list[int], options: tuple[str, ...], *, dated: bool) -> None:
    """Requests for one decision, made of some that reached it."""
    numbers = (
        numbers if decision.kind in {"entered", "slice", "choice", "there"} or decision.operator in {"", "*"} else []
    )
    literals = [*dict.fromkeys(_literals(decision, search.runs)), *numbers]
    names = [*[n for n in decision.names if n not in PASSED], *[o for o in options if o not in decision.names]]
    reached = [*dict.fromkeys(seen.run for seen in reversed(decision.seen))]
    seeds = list(dict.fromkeys([*reached[:1], *reached[-1:], *reached[1:]]))[:_SEEDS]
    for seed in seeds:
        run = search.runs[seed]
        made = mutations(literals, names, search.tracer.formats, run.clock, dated=dated)
        chosen = list(islice(made, _FOR_ONE + 1))
        search.left_out += len(chosen) > _FOR_ONE
        for place, mutation in enumerate(chosen[:_FOR_ONE]):
            if not decision.open:
                return
            if search.spent:
                search.left_out += len(chosen) - place
                return
            changed = _changed(run, mutation)
            if changed is None or (key := f"{changed.clock}|{changed.conversation.model_dump_json()}") in search.tried:
                continue
            search.tried.add(key)
            new = search.render(changed)
            if new:
                search.kept.append((len(search.runs) - 1, f"line {new[0].line}: {new[0].words}"))


def _changed(run: _Run, mutation: Mutation) -> _Run | None:
    if mutation.change is None:
        return _Run(run.conversation, mutation.clock, (*run.made, mutation))
    try:
        conversation = mutation.change(run.conversation)
    except (TypeError, KeyError, ValueError, IndexError):  # a request of an odd shape cannot take every change
        return None
    if conversation is None or not conversation.messages:
        return None
    return _Run(conversation, run.clock, (*run.made, mutation))


def _probes(search: _Search, conversations: Sequence[Conversation], *, dated: bool) -> Iterator[Probe]:
    """The requests that showed something, and the same changes made to other conversations."""
    seen: set[str] = set()

    def probe(run: _Run, why: str) -> Iterator[Probe]:
        words = "; ".join(mutation.words for mutation in run.made)
        made = Probe(conversation=run.conversation, clock=run.clock, made=words[:400], why=why[:300])
        if (key := f"{made.clock}|{made.conversation.model_dump_json()}") not in seen:
            seen.add(key)
            yield made

    for number, why in search.kept:
        yield from probe(search.runs[number], why)
    step = max(len(conversations) // _SPREAD, 1)
    spread = [_Run(conversation, Dialect().clock) for conversation in conversations[::step]]
    for day in DAYS if dated else ():
        for run in spread:
            yield from probe(_Run(run.conversation, day, (Mutation(f"it is {day}"),)), "the template asks for the date")
    for number, why in search.kept:
        for run in spread:
            changed: _Run | None = run
            for mutation in search.runs[number].made:
                changed = changed and _changed(changed, mutation)
            if changed is not None:
                yield from probe(changed, why)


def _literals(decision: Decision, runs: list[_Run]) -> Iterator[Any]:
    """Texts and numbers that a decision was seen to look for or at; what the request itself holds comes last."""
    own: list[str] = []
    for seen in decision.seen:
        asked = "\0".join(_texts_of(runs[seen.run].conversation.model_dump(mode="json")))
        for value in _plain([*seen.against, seen.value]):
            if isinstance(value, str) and value in asked:
                own.append(value)
            else:
                yield value
    yield from [value for value in dict.fromkeys(own) if len(value) <= 40][:4]


def _texts_of(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from _texts_of(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts_of(inner)


def _plain(values: Sequence[Any], depth: int = 0) -> Iterator[Any]:
    for value in values:
        if isinstance(value, str):
            yield value[:200]
        elif isinstance(value, int | float):
            if not isinstance(value, bool) and abs(value) <= 10**7:
                yield value
        elif isinstance(value, dict) and depth < 2:
            yield from _plain([*list(value)[:40], *list(value.values())[:40]], depth + 1)
        elif isinstance(value, list | tuple | set) and depth < 2:
            yield from _plain(list(value)[:40], depth + 1)


def _numbers(tree: nodes.Template) -> list[int]:
    """Whole numbers that a template names: counts, lengths or places."""
    found = [node.value for node in tree.find_all(nodes.Const)]
    return sorted({n for n in found if isinstance(n, int) and not isinstance(n, bool) and 2 <= n <= _LARGEST})[:12]


def _free(tree: nodes.Template) -> set[str]:
    """Variables that only a client can set."""
    given = {node.name for node in tree.find_all(nodes.Name) if node.ctx != "load"}
    given |= (
        {node.name for node in tree.find_all(nodes.Macro)} | PASSED | {"loop", "caller", "varargs", "kwargs", "self"}
    )
    given |= {"raise_exception", "strftime_now", "namespace", "range", "dict", "cycler", "joiner", "lipsum"}
    return {node.name for node in tree.find_all(nodes.Name) if node.ctx == "load"} - given
