"""Replies of an endpoint, sampled from the whole distribution, with the ids of their tokens where the host gives them."""

from __future__ import annotations

from typing import Any

from harness.errors import EndpointUnreachable
from harness.redact import safe_line
from harness.suites.model import Frozen
from harness.targets.endpoint.client import Answer, Client
from harness.targets.endpoint.engines.model import text_of
from harness.targets.endpoint.reasoning import read_thought, thinking_tokens
from harness.targets.endpoint.shapes import chat_shaped
from harness.targets.endpoint.stream import parted
from harness.targets.endpoint.told import Told, read_told, token_id, told_entries
from harness.targets.endpoint.ways import Question
from harness.targets.sampler import Sampler

_MOST_TOKENS = 1 << 16
_COUNTS = ("completion", "prompt", "total")


class Reply(Frozen):
    """One reply as it came. ``ids`` is None where the host gives none; ``lost`` says why nothing can be scored.

    ``thought`` is reasoning that came in a ``field`` of its own. ``withheld`` says why a part of what the model wrote cannot
    be put back: it called tools, or its reasoning is hidden, summarised, or told in two ways.
    """

    text: str = ""
    ids: tuple[int, ...] | None = None
    told: Told | None = None  # what the host says of the probability of each token
    finish: str = ""
    billed: int | None = None  # usage.completion_tokens
    thought: str = ""
    field: str = ""
    withheld: str = ""
    lost: str = ""
    prompt: int | None = None  # usage.prompt_tokens
    total: int | None = None  # usage.total_tokens
    reasoned: int = 0  # tokens that the bill lays on reasoning, within or beside ``billed``
    model: str = ""  # what the host says that it serves
    fingerprint: str = ""  # system_fingerprint
    provider: str = ""  # whom a router says that it asked
    wanted: str = ""  # the model that the request named
    asked: int | None = None  # most tokens of this reply, where they are not the plan's
    way: int = 0  # how the host was asked, and took it


async def ask_reply(
    client: Client, question: Question, tokens: int, way: int, sampler: Sampler, seed: int, item: str = "", *,
    stream: bool = False,
) -> Reply:  # fmt: skip
    """Ask for at most ``tokens`` tokens from a sampler, ``way`` first; the reply says which way the host accepted.

    A refusal of every way is a lost reply; nothing is asked again for what a reply says. ``seed`` is this request's alone;
    a host that honours it answers a resumed audit as it would have answered an uninterrupted one.
    """
    refused = ""
    for number in question.ways[way:]:
        body = question.body(number, tokens, sampler, seed, stream=stream)
        if client.address.model:
            body["model"] = client.address.model
        try:
            answer = await client.ask(body, item, drawn=True, path=question.path)
        except EndpointUnreachable as error:
            return Reply(lost=safe_line(error.problem, 200), way=way)
        if answer.ok:
            return read_reply(answer).model_copy(update={"way": number, "wanted": client.address.model})
        refused = answer.complaint
        if answer.status not in {400, 422}:
            break
    return Reply(lost=f"refused: {refused}", way=way)


def read_reply(answer: Answer) -> Reply:
    """An answer as a reply; what cannot be read is lost, never guessed."""
    return reply_of(answer.reply)


def reply_of(fields: dict[str, Any]) -> Reply:
    """The body of an answer as a reply; ``fields`` have the shape of a chat answer or of a completion."""
    choice = _first(chat_shaped(fields).get("choices"))
    message = choice.get("message", {"content": choice["text"]} if "text" in choice else None)
    if not isinstance(message, dict):
        return Reply(lost=_why_none(fields))
    content = message.get("content") or ""
    text = text_of(parted(content)[0]) if isinstance(content, str | list) else None
    if text is None:
        return Reply(lost="the answer's text cannot be read")
    usage = fields.get("usage")
    counts = [_count(usage.get(f"{name}_tokens") if isinstance(usage, dict) else None) for name in _COUNTS]
    thought = read_thought(message, usage)
    return Reply(
        text=text,
        ids=_ids(choice),
        told=read_told(choice),
        finish=safe_line(str(choice.get("finish_reason") or ""), 40),
        billed=counts[0],
        prompt=counts[1],
        total=counts[2],
        reasoned=thinking_tokens(usage),
        model=safe_line(str(fields.get("model") or ""), 120),
        fingerprint=safe_line(str(fields.get("system_fingerprint") or ""), 80),
        provider=safe_line(fields["provider"], 80) if isinstance(fields.get("provider"), str) else "",
        thought=thought.text,
        field=thought.field,
        withheld="tool calls" if message.get("tool_calls") else thought.withheld,
    )


def _why_none(fields: dict[str, Any]) -> str:
    """Why an answer holds no message; an error that came as a success says so itself."""
    error = fields.get("error")
    said = error.get("message") if isinstance(error, dict) else error
    return (
        f"the answer is an error: {safe_line(said, 120)}"
        if isinstance(said, str) and said
        else "the answer holds no message"
    )


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= _MOST_TOKENS else None


def _ids(choice: dict[str, Any]) -> tuple[int, ...] | None:
    """VLLM's ``token_ids``, or the ids that llama.cpp puts beside log-probabilities."""
    found = choice.get("token_ids")
    if not isinstance(found, list) or not found:
        found = [token_id(entry) for entry in told_entries(choice)]
    if not found or len(found) > _MOST_TOKENS or any(type(i) is not int or not 0 <= i < 1 << 24 for i in found):
        return None
    return tuple(found)


def _first(value: Any) -> dict[str, Any]:
    return value[0] if isinstance(value, list) and value and isinstance(value[0], dict) else {}
