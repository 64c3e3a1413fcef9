"""What every engine's dialect offers, and how answers that come from a stranger are read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Self

from pydantic import JsonValue

from harness.prompts.conversation import Conversation
from harness.redact import safe_line
from harness.targets.endpoint.client import Answer, Client

_LONGEST = 1 << 20  # characters of a prompt
_MOST_IDS = 1 << 16


@dataclass(frozen=True, slots=True)
class ServedPrompt:
    """The prompt that an engine says it makes: text, ids or both; with neither, ``problem`` says why."""

    text: str | None = None
    ids: tuple[int, ...] | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Engine(ABC):
    """One engine: how it is recognised, and how it is asked for prompts.

    ``version`` is what the host says, ``template`` the chat template that it says it uses; both may be empty. ``jinja``: that
    template is in Jinja.
    """

    client: Client
    version: str = ""
    template: str = ""

    name = ""
    jinja = False

    @classmethod
    @abstractmethod
    def recognise(cls, client: Client) -> Self | None:
        """The engine if this endpoint is one; a single request."""

    @abstractmethod
    def prompt(self, conversation: Conversation) -> ServedPrompt:
        """The prompt of a chat request."""

    def encode(self, text: str) -> tuple[int, ...] | None:
        """Ids of a plain text without anything put in front; None where the engine does not say."""
        del text
        return None


def chat_fields(conversation: Conversation) -> dict[str, JsonValue]:
    """A conversation in the fields that OpenAI's protocol and its common extensions have for it.

    Only what departs from the usual is sent, because hosts refuse fields that they do not know.
    """
    fields: dict[str, JsonValue] = {"messages": list(conversation.messages)}
    if conversation.tools is not None:
        fields["tools"] = list(conversation.tools)
    if conversation.options:
        fields["chat_template_kwargs"] = conversation.options
    if conversation.continue_final:
        fields |= {"add_generation_prompt": False, "continue_final_message": True}
    elif not conversation.generation:
        fields["add_generation_prompt"] = False
    return fields


def text_of(value: Any) -> str | None:
    """A text out of an answer; None for anything else, for more than a prompt can be, and for halves of characters."""
    if not isinstance(value, str) or len(value) > _LONGEST:
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        return None
    return value


def ids_of(value: Any) -> tuple[int, ...] | None:
    """Token ids out of an answer: a list of whole numbers, or of objects that hold one under ``id``."""
    if not isinstance(value, list) or len(value) > _MOST_IDS:
        return None
    plain: list[Any] = [entry.get("id") if isinstance(entry, dict) else entry for entry in value]
    return tuple(plain) if all(type(entry) is int and entry >= 0 for entry in plain) else None


def served(answer: Answer, text: str | None = None, ids: tuple[int, ...] | None = None) -> ServedPrompt:
    """A prompt out of an answer, or the complaint that came instead of one."""
    if not answer.ok:
        return ServedPrompt(problem=answer.complaint)
    if text is None and ids is None:
        return ServedPrompt(problem=f"{answer.status}, but neither a text nor ids in the answer")
    return ServedPrompt(text, ids)


def stated(fields: dict[str, Any], *path: str) -> str:
    """A text somewhere inside an answer; empty where there is none."""
    value: Any = fields
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return text_of(value) or ""


def shown_version(text: str) -> str:
    """A version as reports state it."""
    return safe_line(text, 60)
