"""What a fault is: a change of the request, of the engine's rules, of the rendered text or of its tokenisation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pydantic import JsonValue

from harness.prompts.conversation import REFERENCE_DIALECT, Conversation, Dialect

Group = Literal["framing", "source", "roles", "tools", "reasoning", "tokenization"]
Message = dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Family:
    """What faults need to know of a model's prompt format; empty strings where it has no such thing.

    ``turn_end`` closes an assistant's turn, ``opening`` is the generation prompt, both as text. ``encoder`` names the
    program that makes prompts where there is no template, ``encoder_file`` what it reads. ``tool_template`` takes the
    template's place for requests with tools, where a model has one.
    """

    template: str
    variables: dict[str, JsonValue] = field(default_factory=dict)
    bos: str = ""
    turn_end: str = ""
    opening: str = ""
    encoder: str = ""
    encoder_file: str = ""
    tool_template: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """One conversation on its way into a prompt, under a family's template and an engine's rules."""

    conversation: Conversation
    template: str  # empty where an encoder makes the prompt
    dialect: Dialect = REFERENCE_DIALECT

    def with_messages(self, messages: Iterable[Message]) -> Request:
        """The same request with other messages."""
        conversation = self.conversation.model_copy(update={"messages": tuple(messages)})
        return replace(self, conversation=conversation)

    def with_tools(self, tools: Iterable[Message] | None) -> Request:
        """The same request with other tools."""
        found = None if tools is None else tuple(tools)
        return replace(self, conversation=self.conversation.model_copy(update={"tools": found}))

    def with_options(self, **options: JsonValue) -> Request:
        """The same request with further template variables; what the client set itself stays."""
        merged = options | self.conversation.options
        return replace(self, conversation=self.conversation.model_copy(update={"options": merged}))

    def under(self, **rules: Any) -> Request:
        """The same request under changed rules."""
        return replace(self, dialect=self.dialect.model_copy(update=rules))

    def writing_json(self, **style: Any) -> Request:
        """The same request with JSON written in another way."""
        return self.under(json_style=self.dialect.json_style.model_copy(update=style))


@dataclass(frozen=True, slots=True)
class Fault:
    """One way in which an engine, a gateway or a release turns the same request into another prompt.

    At most one of the changes is usual. ``request`` acts before rendering, ``text`` after it; ``controls`` says what
    happens to control words inside users' text when it is tokenised. ``normalized`` is false where
    letters are tokenised as they were sent, whatever the tokenizer's own rule. ``outermost`` text comes after every other.
    """

    name: str
    group: Group
    severity: Literal["S1", "S2", "S3", "S4"]
    title: str
    request: Callable[[Request, Family], Request] | None = None
    text: Callable[[str, Conversation, Family], str] | None = None
    controls: Literal["parsed", "text"] = "parsed"
    normalized: bool = True
    outermost: bool = False


def each_message(request: Request, change: Callable[[Message], Message | None]) -> Request:
    """Change or drop (None) messages one by one."""
    changed = [change(dict(message)) for message in request.conversation.messages]
    return request.with_messages(message for message in changed if message is not None)


def each_tool(request: Request, change: Callable[[Message], Message]) -> Request:
    """Change tools one by one."""
    tools = request.conversation.tools
    return request if tools is None else request.with_tools(change(dict(tool)) for tool in tools)


def each_text(
    request: Request, change: Callable[[str], str], roles: frozenset[str] | None = None, *, parts: bool = True
) -> Request:
    """Change the contents of messages, and of text parts unless told otherwise."""

    def changed(message: Message) -> Message:
        content = message.get("content")
        if roles is not None and message.get("role") not in roles:
            return message
        if isinstance(content, str):
            message["content"] = change(content)
        elif isinstance(content, list) and parts:
            message["content"] = [
                {**part, "text": change(str(part["text"]))} if isinstance(part, dict) and "text" in part else part
                for part in content
            ]
        return message

    return each_message(request, changed)
