"""Replies of an endpoint, sampled from the whole distribution, with the ids of their tokens where the host gives them."""

from __future__ import annotations

from typing import Any

from pydantic import JsonValue

from harness.errors import EndpointUnreachable
from harness.prompts.conversation import Conversation
from harness.redact import safe_line
from harness.suites.model import Frozen
from harness.targets.endpoint.client import Answer, Client
from harness.targets.endpoint.engines.model import chat_fields, text_of
from harness.targets.endpoint.told import FEW_LISTED, MOST_LISTED, Told, read_told, token_id, told_entries
from harness.targets.sampler import Sampler

_WHOLE: dict[str, JsonValue] = {"min_p": 0.0, "repetition_penalty": 1.0, "repeat_penalty": 1.0}
_IDS: dict[str, JsonValue] = {
    "logprobs": True, "top_logprobs": MOST_LISTED, "return_token_ids": True, "return_tokens_as_token_ids": True
}  # fmt: skip
_SEEDED: dict[str, JsonValue] = {"seed": 0}  # each request has its own
#: Ways of asking, the fullest first; a host that refuses a field it does not know is asked in the next way. The first
#: ``NEUTRAL`` switch off everything that a host may add to sampling on its own.
WAYS: tuple[dict[str, JsonValue], ...] = (
    {"top_k": 0, **_WHOLE, **_IDS, **_SEEDED},
    {"top_k": -1, **_WHOLE, **_IDS, **_SEEDED},  # how some engines write "no limit"
    {"logprobs": True, "top_logprobs": MOST_LISTED, **_SEEDED},
    {"logprobs": True, "top_logprobs": FEW_LISTED, **_SEEDED},
    {"logprobs": True, "top_logprobs": FEW_LISTED},
    {**_SEEDED},
    {"top_k": 0},
    {},
)
NEUTRAL = 2
#: What every request says of sampling, whatever the sampler.
PLAIN: dict[str, JsonValue] = {"stream": False, "presence_penalty": 0.0, "frequency_penalty": 0.0}
_MOST_TOKENS = 1 << 16
_COUNTS = ("completion", "prompt", "total")


class Reply(Frozen):
    """One reply as it came. ``ids`` is None where the host gives none; ``lost`` says why nothing can be scored.

    ``parted`` is set where the host keeps a part of what the model wrote (its reasoning) out of the text.
    """

    text: str = ""
    ids: tuple[int, ...] | None = None
    told: Told | None = None  # what the host says of the probability of each token
    finish: str = ""
    billed: int | None = None  # usage.completion_tokens
    parted: bool = False
    lost: str = ""
    prompt: int | None = None  # usage.prompt_tokens
    total: int | None = None  # usage.total_tokens
    model: str = ""  # what the host says that it serves
    fingerprint: str = ""  # system_fingerprint
    asked: int | None = None  # most tokens of this reply, where they are not the plan's
    way: int = 0  # which of ``WAYS`` the host accepted


async def ask_reply(
    client: Client, conversation: Conversation, tokens: int, way: int, sampler: Sampler, seed: int, item: str = ""
) -> Reply:
    """Ask for at most ``tokens`` tokens from a sampler, ``way`` first; the reply says which way the host accepted.

    A refusal of every way is a lost reply; nothing is asked again for what a reply says. ``seed`` is this request's alone;
    a host that honours it answers a resumed audit as it would have answered an uninterrupted one.
    """
    refused = ""
    for number in range(way, len(WAYS)):
        body: dict[str, object] = dict(chat_fields(conversation))
        body |= {"max_tokens": tokens, **PLAIN, **WAYS[number]} | sampler.fields()
        if "seed" in body:
            body["seed"] = seed
        if client.address.model:
            body["model"] = client.address.model
        try:
            answer = await client.ask(body, item, drawn=True)
        except EndpointUnreachable as error:
            return Reply(lost=safe_line(error.problem, 200), way=way)
        if answer.ok:
            return read_reply(answer).model_copy(update={"way": number})
        refused = answer.complaint
        if answer.status not in {400, 422}:
            break
    return Reply(lost=f"refused: {refused}", way=way)


#: Fields that a request has its own value of, whatever the way.
_OWN = frozenset({"seed", "top_k", "min_p"})


def way_of(body: dict[str, Any]) -> int:
    """Which of ``WAYS`` a request was sent in: the first whose fields it has, and no more of them than those.

    A sampler that was asked for adds its own field to every way.
    """
    asked = {name for name in ("top_k", "min_p") if body.get(name) not in {None, 0, -1}}
    known = {name for way in WAYS for name in way} - asked
    sent = {name for name in body if name in known}
    for number, way in enumerate(WAYS):
        if set(way) - asked == sent and all(body[name] == value for name, value in way.items() if name not in _OWN):
            return number
    return len(WAYS) - 1


def read_reply(answer: Answer) -> Reply:
    """A chat answer as a reply; what cannot be read is lost, never guessed."""
    return reply_of(answer.fields())


def reply_of(fields: dict[str, Any]) -> Reply:
    """The body of a chat answer as a reply."""
    choice = _first(fields.get("choices"))
    message = choice.get("message")
    if not isinstance(message, dict):
        return Reply(lost="the answer holds no message")
    text = text_of(message.get("content") or "")
    if text is None:
        return Reply(lost="the answer's text cannot be read")
    usage = fields.get("usage")
    counts = [_count(usage.get(f"{name}_tokens") if isinstance(usage, dict) else None) for name in _COUNTS]
    hidden = any(message.get(key) for key in ("reasoning_content", "reasoning", "tool_calls"))
    return Reply(
        text=text,
        ids=_ids(choice),
        told=read_told(choice),
        finish=safe_line(str(choice.get("finish_reason") or ""), 40),
        billed=counts[0],
        prompt=counts[1],
        total=counts[2],
        model=safe_line(str(fields.get("model") or ""), 120),
        fingerprint=safe_line(str(fields.get("system_fingerprint") or ""), 80),
        parted=hidden,
    )


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= _MOST_TOKENS else None


def _ids(choice: dict[str, Any]) -> tuple[int, ...] | None:
    """VLLM's ``token_ids``, or the ids that llama.cpp puts beside log-probabilities."""
    found = choice.get("token_ids")
    if not isinstance(found, list):
        found = [token_id(entry) for entry in told_entries(choice)]
    if not found or len(found) > _MOST_TOKENS or any(type(i) is not int or not 0 <= i < 1 << 24 for i in found):
        return None
    return tuple(found)


def _first(value: Any) -> dict[str, Any]:
    return value[0] if isinstance(value, list) and value and isinstance(value[0], dict) else {}
