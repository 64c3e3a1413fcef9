"""Questions go out and replies come back; prompts and replies become the sequences that are scored."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence

from harness.auditing.scorable import Ids, Scorable
from harness.errors import EndpointRefused, NoChatTemplate
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
from harness.targets.prompt_source import PromptSource
from harness.targets.sampler import Sampler


def ask_all(
    client: Client,
    questions: Sequence[Conversation],
    tokens: int,
    keep: Callable[[Reply], None],
    sampler: Sampler,
) -> Generator[Event, None, list[Reply]]:
    """Ask every question once, in plan order; ``keep`` stores each reply before the next question goes out."""
    way = 0
    replies: list[Reply] = []
    yield TargetStarted(client.address.shown, "endpoint", tokens * len(questions))
    started = time.monotonic()
    for question in questions:
        try:
            reply, way = ask_reply(client, question, tokens, way, sampler)
        except EndpointRefused as error:
            if not replies:
                raise
            reply = Reply(lost=safe_line(error.problem, 200), way=way)
        keep(reply)
        replies.append(reply)
        yield TokensScored(client.address.shown, tokens)
    yield TargetFinished(client.address.shown, time.monotonic() - started)
    return replies


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


def sequences_of(prompts: Sequence[Ids], replies: Sequence[Scorable]) -> list[Scored]:
    """The replies that have ids behind their prompts."""
    return [
        reply_sequence(f"reply-{number:04d}", "audit", f"reply-{number:04d}", prompt, (0,) * len(prompt), reply.ids)
        for number, (prompt, reply) in enumerate(zip(prompts, replies, strict=True))
        if reply.ids
    ]
