"""Trials of an endpoint, asked several at once; what comes back is kept as it is told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from harness.errors import EndpointRefused, EndpointUnreachable
from harness.prompts.thoughts import written
from harness.prompts.trials import Trial
from harness.redact import safe_line
from harness.suites.model import Frozen
from harness.targets.endpoint.client import Answer, Client
from harness.targets.endpoint.engines.model import chat_fields
from harness.targets.endpoint.replies import Reply, read_reply, reply_of
from harness.targets.endpoint.stream import read_stream


class Tried(Frozen):
    """The replies to one trial, in the order in which they were asked for; ``lost`` replies say what was refused."""

    name: str
    asked: int  # most tokens of a reply
    replies: tuple[Reply, ...]


def try_all(client: Client, trials: Sequence[Trial]) -> list[Tried]:
    """Ask every trial; a request that fails is a lost reply. Raises BudgetSpent at the budget's end.

    One round per repetition: a store of answers shows only to a request that comes after the first was answered.
    """
    found: dict[str, list[Reply]] = {trial.name: [] for trial in trials}
    for number in range(max((trial.repeat for trial in trials), default=0)):
        due = [trial for trial in trials if trial.repeat > number]
        work: list[Callable[[], Awaitable[Reply]]] = [partial(_ask, client, trial, number) for trial in due]
        replies = dict(client.together(work))
        for place, trial in enumerate(due):
            found[trial.name].append(replies[place])
    return [Tried(name=trial.name, asked=_most(trial), replies=tuple(found[trial.name])) for trial in trials]


async def _ask(client: Client, trial: Trial, number: int) -> Reply:
    body: dict[str, object] = {**chat_fields(trial.conversation), "stream": trial.stream, **trial.fields}
    if number:  # some servers are started with a seed for all; the first goes without, for those that know none
        body["seed"] = number
    if trial.stream:
        body["stream_options"] = {"include_usage": True}
    if client.address.model:
        body["model"] = client.address.model
    try:
        answer = await client.ask(body, f"trial-{trial.name}")
    except (EndpointRefused, EndpointUnreachable) as error:
        return Reply(lost=safe_line(error.problem, 200))
    if not answer.ok:
        return Reply(lost=f"refused: {answer.complaint}")
    reply = _streamed(answer) if trial.stream else read_reply(answer)
    return reply.model_copy(update={"text": written(reply.thought, reply.text)})


def _streamed(answer: Answer) -> Reply:
    """The text of a stream, also of one that broke off: what came is what is compared."""
    read = read_stream(answer.body)
    if not read.events:
        return Reply(lost="no events")
    choice: dict[str, Any] = {"message": {"content": read.text, **read.apart_of_text()}, "finish_reason": read.finish}
    return reply_of({"choices": [choice], "usage": read.usage})


def _most(trial: Trial) -> int:
    return int(str(trial.fields.get("max_tokens", 0)))
