"""Chat requests that ask for as little as a host will give, for the sake of the prompt tokens that it bills."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

from harness.prompts.conversation import Conversation
from harness.targets.endpoint.client import Answer, Client
from harness.targets.endpoint.engines.model import chat_fields

#: Ways of asking for next to nothing, tried in this order: some hosts refuse one token, some know only the new name.
SMALLEST: tuple[dict[str, JsonValue], ...] = (
    {"max_tokens": 1},
    {"max_completion_tokens": 1},
    {"max_tokens": 16},
    {"max_completion_tokens": 16},
)

_MOST = 1 << 24


@dataclass(frozen=True, slots=True)
class Count:
    """``usage.prompt_tokens`` of one request; None with the reason where there is none."""

    count: int | None
    problem: str = ""
    refused: bool = False  # the host would not take the request


def ask_count(client: Client, conversation: Conversation, smallest: dict[str, JsonValue] | None = None) -> Count:
    """Send one chat request and read what it is billed."""
    body = chat_fields(conversation) | {"stream": False} | (smallest or SMALLEST[0])
    if client.address.model:
        body["model"] = client.address.model
    answer = client.chat(body)
    if not answer.ok:
        return Count(None, answer.complaint, refused=True)
    count = prompt_tokens(answer)
    return Count(count, "" if count is not None else "the answer has no usage.prompt_tokens")


def prompt_tokens(answer: Answer) -> int | None:
    """``usage.prompt_tokens`` as a whole number; None where the host does not say."""
    usage: Any = answer.fields().get("usage")
    count = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    return count if type(count) is int and 0 <= count <= _MOST else None
