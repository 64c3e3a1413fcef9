"""Questions go out and replies come back; prompts and replies become the sequences that are scored."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass

from harness.auditing.scorable import Ids, Scorable
from harness.errors import BudgetSpent, EndpointRefused, NoChatTemplate
from harness.observations.events import Event, TargetFinished, TargetStarted, TokensScored
from harness.prompting.evidence import family_of
from harness.prompts.conversation import Conversation, Dialect
from harness.prompts.faults import fault
from harness.prompts.jinja.process import PromptProcess
from harness.prompts.sequences import Sequence as Scored
from harness.prompts.sequences import reply_sequence
from harness.prompts.variants import Bench
from harness.redact import safe_line
from harness.targets.endpoint.client import Client
from harness.targets.endpoint.replies import Reply, ask_reply
from harness.targets.endpoint.ways import Question
from harness.targets.prompt_source import PromptSource
from harness.targets.sampler import Sampler

#: Questions of the first round; every later round doubles what was asked.
FIRST_ROUND = 8


@dataclass(frozen=True, slots=True)
class Questions:
    """What an audit asks, in plan order, and how."""

    asked: Sequence[Question]
    tokens: int
    sampler: Sampler
    seeds: Sequence[int]
    stream: bool = False


def round_ends(requests: int, first: int = FIRST_ROUND) -> list[int]:
    """How many questions are answered when a round ends: 8, 16, 32, ... and all of them.

    Part of the plan: replies are weighed when a round ends, whatever the order in which they came.
    """
    ends = []
    while first < requests:
        ends.append(first)
        first *= 2
    return [*ends, requests]


def ask_round(
    client: Client, questions: Questions, numbers: range, known: dict[int, Reply], keep: Callable[[int, Reply], None]
) -> Generator[Event, None, bool]:
    """Ask those of the questions ``numbers`` that have no reply in ``known`` yet, and add them; ``keep`` stores each.

    Several at once, as the pace allows; the very first alone, because it tells in which way the host is asked. False if
    the budget ended before every question was asked.
    """

    def job(number: int, way: int) -> Callable[[], Awaitable[Reply | None]]:
        async def ask() -> Reply | None:
            try:
                return await ask_reply(
                    client, questions.asked[number], questions.tokens, way, questions.sampler, questions.seeds[number],
                    f"reply-{number:04d}", stream=questions.stream,
                )  # fmt: skip
            except BudgetSpent:
                return None
            except EndpointRefused as error:
                if not known:
                    raise
                return Reply(lost=safe_line(error.problem, 200), way=way)

        return ask

    left = [number for number in numbers if number not in known]
    yield TargetStarted(client.address.shown, "endpoint", questions.tokens * len(left))
    started = time.monotonic()
    for part in (left[:1], left[1:]) if not known else (left,):
        way = max((reply.way for reply in known.values()), default=0)
        for place, reply in client.together([job(number, way) for number in part]):
            if reply is not None:
                keep(part[place], reply)
                known[part[place]] = reply
                yield TokensScored(client.address.shown, questions.tokens)
    yield TargetFinished(client.address.shown, time.monotonic() - started)
    return all(number in known for number in numbers)


def render_prompts(
    source: PromptSource, questions: Sequence[Conversation], faults: Sequence[str], days: Sequence[str]
) -> dict[str, list[Ids]]:
    """Prompts as ids: sound under "", and under the name of each fault and of each further day on which they are made.

    ``days`` are times as ISO texts, the first of which is that of the sound and of the faulty prompts. A prompt that a
    fault leaves as it is, or that cannot be rendered under it, is the sound one: its ratio is 1.
    """
    with PromptProcess() as process:
        first, *others = (Bench(process, family_of(source), source.tokenizer, Dialect(clock=day)) for day in days)
        sound = [prompt.ids or () for prompt in first.prompts(questions)]
        if not all(sound):
            raise NoChatTemplate(
                "the reference's own template cannot render a question of the audit",
                where=source.name,
                fix="fidelity template shows what it refuses",
            )
        made = {name: first.prompts(questions, [fault(name)]) for name in faults}
        made |= {day: bench.prompts(questions) for day, bench in zip(days[1:], others, strict=True)}
    return {"": sound} | {
        name: [one.ids or ours for one, ours in zip(prompts, sound, strict=True)] for name, prompts in made.items()
    }


def as_questions(asked: Sequence[Conversation | Question]) -> list[Question]:
    """Conversations as they are, for the host to make prompts of."""
    return [one if isinstance(one, Question) else Question(one) for one in asked]


def by_prompt(source: PromptSource, conversations: Sequence[Conversation], clock: str) -> list[Question]:
    """Questions that are asked by the reference's own prompts; what it cannot render is left a conversation."""
    with PromptProcess() as process:
        made = Bench(process, family_of(source), source.tokenizer, Dialect(clock=clock)).prompts(conversations)
    return [Question(one, prompt.ids or (), prompt.text or "") for one, prompt in zip(conversations, made, strict=True)]


def sequences_of(prompts: Sequence[Ids], replies: Sequence[Scorable], first: int = 0) -> list[Scored]:
    """The replies that have ids behind their prompts; ``first`` is the number of the first question."""
    return [
        reply_sequence(f"reply-{number:04d}", "audit", f"reply-{number:04d}", prompt, (0,) * len(prompt), reply.ids)
        for number, (prompt, reply) in enumerate(zip(prompts, replies, strict=True), first)
        if reply.ids
    ]
