"""Faults of roles: system prompts lost, folded, invented; turns merged, dropped or cut; the date."""

from __future__ import annotations

import datetime
from collections.abc import Callable

from harness.prompts.faults.model import Family, Fault, Message, Request, each_message

DEFAULT_SYSTEM = "You are a helpful assistant."
HIDDEN_SYSTEM = "You are a helpful, harmless and honest assistant. Answer concisely."


def _dropping(role: str) -> Callable[[Request, Family], Request]:
    def change(request: Request, _: Family) -> Request:
        return each_message(request, lambda message: None if message.get("role") == role else message)

    return change


def _later_system_dropped(request: Request, _: Family) -> Request:
    messages = request.conversation.messages
    return request.with_messages(m for k, m in enumerate(messages) if k == 0 or m.get("role") != "system")


def _system_folded(request: Request, _: Family) -> Request:
    """The system's words are put before the first user's, as engines do for templates that know no system role."""
    messages = [dict(message) for message in request.conversation.messages]
    if not messages or messages[0].get("role") != "system" or not isinstance(messages[0].get("content"), str):
        return request
    words = str(messages.pop(0)["content"])
    for message in messages:
        if message.get("role") == "user" and isinstance(message.get("content"), str):
            message["content"] = f"{words}\n{message['content']}"
            break
    return request.with_messages(messages)


def _default_system(request: Request, _: Family) -> Request:
    messages = request.conversation.messages
    if any(message.get("role") == "system" for message in messages):
        return request
    return request.with_messages([{"role": "system", "content": DEFAULT_SYSTEM}, *messages])


def _hidden_system(request: Request, _: Family) -> Request:
    messages = [dict(message) for message in request.conversation.messages]
    if messages and messages[0].get("role") == "system":
        messages[0]["content"] = f"{HIDDEN_SYSTEM}\n{messages[0].get('content') or ''}"
        return request.with_messages(messages)
    return request.with_messages([{"role": "system", "content": HIDDEN_SYSTEM}, *messages])


def _developer_as_system(request: Request, _: Family) -> Request:
    def change(message: Message) -> Message:
        return message | {"role": "system"} if message.get("role") == "developer" else message

    return each_message(request, change)


def _same_role_merged(request: Request, _: Family) -> Request:
    merged: list[Message] = []
    for message in request.conversation.messages:
        before = merged[-1] if merged else {}
        plain = isinstance(message.get("content"), str) and isinstance(before.get("content"), str)
        bare = set(message) == set(before) == {"role", "content"}
        if plain and bare and before.get("role") == message.get("role"):
            before["content"] = f"{before['content']}\n\n{message['content']}"
        else:
            merged.append(dict(message))
    return request.with_messages(merged)


def _leading_assistant_dropped(request: Request, _: Family) -> Request:
    messages = list(request.conversation.messages)
    if messages and messages[0].get("role") == "assistant":
        del messages[0]
    return request.with_messages(messages)


def _empty_turns_dropped(request: Request, _: Family) -> Request:
    def empty(message: Message) -> bool:
        others = any(message.get(key) for key in ("tool_calls", "reasoning_content", "reasoning", "thinking"))
        return message.get("content") in {"", None} and not others if not _parts(message) else False

    return each_message(request, lambda message: None if empty(message) else message)


def _parts(message: Message) -> bool:
    return isinstance(message.get("content"), list)


def _history_truncated(request: Request, _: Family) -> Request:
    """Only the last four messages and a leading system message are kept."""
    messages = request.conversation.messages
    head = messages[:1] if messages and messages[0].get("role") == "system" else ()
    rest = messages[len(head) :]
    return request.with_messages([*head, *rest[-4:]]) if len(rest) > 4 else request


def _date_moved(request: Request, _: Family) -> Request:
    later = datetime.datetime.fromisoformat(request.dialect.clock) + datetime.timedelta(days=100)
    return request.under(clock=later.isoformat())


def _date_string_set(request: Request, _: Family) -> Request:
    """An engine that hands today's date to templates which print a date of their own unless they are given one."""
    today = datetime.datetime.fromisoformat(request.dialect.clock)
    return request.with_options(date_string=today.strftime("%d %b %Y"), datetime=today.strftime("%b %d %Y"))


ROLES = (
    Fault("system-dropped", "roles", "S3", "system messages are dropped", request=_dropping("system")),
    Fault(
        "later-system-dropped", "roles", "S2", "system messages after the first message are dropped",
        request=_later_system_dropped,
    ),
    Fault("system-folded", "roles", "S2", "the system message is put into the user's", request=_system_folded),
    Fault(
        "default-system", "roles", "S2", "a default system message is added where there is none", request=_default_system
    ),
    Fault("hidden-system", "roles", "S2", "a hidden system prompt is put before everything", request=_hidden_system),
    Fault(
        "developer-as-system", "roles", "S2", "the developer role is turned into system", request=_developer_as_system
    ),
    Fault("developer-dropped", "roles", "S3", "developer messages are dropped", request=_dropping("developer")),
    Fault("same-role-merged", "roles", "S2", "consecutive messages of one role are merged", request=_same_role_merged),
    Fault(
        "leading-assistant-dropped", "roles", "S2", "an assistant turn that opens the conversation is dropped",
        request=_leading_assistant_dropped,
    ),
    Fault("empty-turns-dropped", "roles", "S2", "turns without content are dropped", request=_empty_turns_dropped),
    Fault("history-truncated", "roles", "S3", "older turns are cut off", request=_history_truncated),
    Fault("date-moved", "roles", "S1", "the prompt holds another date", request=_date_moved),
    Fault(
        "date-string-set", "roles", "S1", "the engine's date stands where the template has its own",
        request=_date_string_set,
    ),
)  # fmt: skip
