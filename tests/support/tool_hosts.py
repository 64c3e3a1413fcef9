"""A real server in front of which somebody interferes with calls of tools; its answers are remembered, each is asked once."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.support.hosts import Asked, Reply, host, pass_on

Body = dict[str, Any]
Fault = Callable[["Memory", Asked], Reply]


class Memory:
    """A real server whose answers are remembered by what was asked, whatever the seed."""

    def __init__(self, base: str, known: dict[str, Reply] | None = None) -> None:
        self._base, self._lock = base.removesuffix("/v1"), threading.Lock()
        self.known = {} if known is None else known

    def ask(self, asked: Asked, **changes: Any) -> Reply:
        """What the server answers to a request, or to one that was changed; fields that are set to None are left out."""
        body = {key: value for key, value in (asked.body | changes).items() if value is not None}
        key = json.dumps([asked.path, {name: value for name, value in body.items() if name != "seed"}], sort_keys=True)
        with self._lock:
            if key not in self.known:
                self.known[key] = pass_on(self._base, Asked(asked.method, asked.path, {}, body))
            return self.known[key]


def serving(memory: Memory, fault: Fault | None = None) -> Any:
    """A host that answers as the remembered server does, but for a fault."""

    def answer(asked: Asked, _: BaseHTTPRequestHandler) -> Reply:
        return fault(memory, asked) if fault and asked.path.endswith("/chat/completions") else memory.ask(asked)

    return host(answer)


def _message(change: Callable[[Body], None]) -> Fault:
    """A fault that changes the choice of every whole answer."""

    def fault(memory: Memory, asked: Asked) -> Reply:
        status, headers, body = memory.ask(asked)
        if status != 200 or asked.body.get("stream"):
            return status, headers, body
        value = json.loads(body)
        change(value["choices"][0])
        return status, headers, json.dumps(value).encode()

    return fault


def _unparsed(choice: Body) -> None:
    calls = choice["message"].pop("tool_calls", [])
    text = "".join(
        f'<tool_call>\n{{"name": "{call["function"]["name"]}", "arguments": {call["function"]["arguments"]}}}\n</tool_call>'
        for call in calls
    )
    if text:
        choice["message"]["content"] = text
        choice["finish_reason"] = "stop"


def _calls(choice: Body) -> list[Body]:
    return choice["message"].get("tool_calls") or []


def _lying(choice: Body) -> None:
    if _calls(choice):
        choice["finish_reason"] = "stop"


def _nameless(choice: Body) -> None:
    for call in _calls(choice):
        call.pop("id", None)


def _broken(choice: Body) -> None:
    for call in _calls(choice):
        call["function"]["arguments"] = call["function"]["arguments"][:-1]


def _thinking(choice: Body) -> None:
    choice["message"]["reasoning_content"] = choice["message"].get("content") or "hm"
    choice["message"]["content"] = None
    choice["message"].pop("tool_calls", None)
    choice["finish_reason"] = "stop" if choice["finish_reason"] == "tool_calls" else choice["finish_reason"]


def _streams_lose_calls(memory: Memory, asked: Asked) -> Reply:
    status, headers, body = memory.ask(asked)
    if not asked.body.get("stream"):
        return status, headers, body
    events = [event for event in body.decode().split("\n\n") if '"tool_calls":[' not in event]
    return status, headers, "\n\n".join(events).encode()


#: What hosts are blamed for, by name.
FAULTS: dict[str, Fault] = {
    "calls are not parsed": _message(_unparsed),
    "finish_reason is always stop": _message(_lying),
    "calls have no ids": _message(_nameless),
    "arguments lose their last letter": _message(_broken),
    "everything becomes reasoning": _message(_thinking),
    "streams lose calls": _streams_lose_calls,
    "tools are left out of the prompt": lambda memory, asked: memory.ask(asked, tools=None, tool_choice=None),
    "replies are cut at 8 tokens": lambda memory, asked: memory.ask(asked, max_tokens=8),
    "tools are refused": lambda memory, asked: (400, {}, b'{"error": {"message": "tools are not supported"}}'),
}
