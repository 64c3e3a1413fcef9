"""Hosts that do otherwise than they are told: a real server behind a gateway with one vice each."""

from __future__ import annotations

import copy
import json
import threading
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from tests.support.hosts import Asked, Host, Reply, host, pass_on

Body = dict[str, Any]


def always(**fields: Any) -> Callable[[Body], Body]:
    """Sets fields whatever is asked for."""
    return lambda body: body | fields


def drawing(temperature: float) -> Callable[[Body], Body]:
    """Draws every reply, by a seed that the request itself decides: requests come in any order."""
    return lambda body: body | {"temperature": temperature, "seed": _seed(body)}


def _seed(value: object) -> int:
    return zlib.crc32(json.dumps(value, sort_keys=True).encode())


def without(*names: str) -> Callable[[Body], Body]:
    """Drops fields without a word."""
    return lambda body: {name: value for name, value in body.items() if name not in names}


def at_most(tokens: int) -> Callable[[Body], Body]:
    """A cap on replies of its own."""
    return lambda body: body | {"max_tokens": min(body.get("max_tokens", tokens), tokens)}


def cut_front(characters: int) -> Callable[[Body], Body]:
    """Keeps the end of long messages alone."""

    def change(body: Body) -> Body:
        body = copy.deepcopy(body)
        for message in body.get("messages", []):
            message["content"] = message["content"][-characters:]
        return body

    return change


def without_system(body: Body) -> Body:
    """Loses system messages."""
    if "messages" not in body:
        return body
    return body | {"messages": [one for one in body["messages"] if one["role"] != "system"]}


def injecting(text: str) -> Callable[[Body], Body]:
    """A system prompt of its own before every conversation."""

    def change(body: Body) -> Body:
        said = [{"role": "system", "content": text}]
        return body | {"messages": said + body["messages"]} if "messages" in body else body

    return change


def lie(**fields: Any) -> Callable[[Body], Body]:
    """Changes a choice of every answer."""

    def change(value: Body) -> Body:
        for choice in value.get("choices", []):
            choice.update(fields)
        return value

    return change


def rewrite(change: Callable[[str], str]) -> Callable[[Body], Body]:
    """Changes the text of every answer."""

    def changed(value: Body) -> Body:
        for choice in value.get("choices", []):
            if choice.get("message"):
                choice["message"]["content"] = change(choice["message"]["content"])
        return value

    return changed


def broken_stream(asked: Asked, reply: Reply) -> Reply:
    """Loses every second event of a stream."""
    if not asked.body.get("stream"):
        return reply
    status, headers, body = reply
    events = [one for one in body.decode().split("\n\n") if one.strip()]
    kept = [one for place, one in enumerate(events) if place % 2 or "[DONE]" in one]
    return status, headers, ("\n\n".join(kept) + "\n\n").encode()


def dishonest(
    base: str,
    asked: Callable[[Body], Body] = lambda body: body,
    answered: Callable[[Body], Body] = lambda value: value,
    whole: Callable[[Asked, Reply], Reply] = lambda _, reply: reply,
    *,
    stores: bool = False,
) -> AbstractContextManager[Host]:
    """A gateway that changes requests, answers, or raw replies; with ``stores`` the same question gets the same answer.

    What is stored is drawn by the question alone, so that it does not matter whose request comes first.
    """
    kept: dict[str, Reply] = {}
    lock = threading.Lock()

    def fresh(request: Asked) -> Reply:
        sent = Asked(request.method, request.path, request.headers, asked(request.body))
        status, headers, body = pass_on(base.removesuffix("/v1"), sent)
        if status == 200 and not request.body.get("stream") and request.method == "POST":
            body = json.dumps(answered(json.loads(body))).encode()
        return whole(request, (status, headers, body))

    def answer(request: Asked, _: object) -> Reply:
        if not stores:
            return fresh(request)
        question = [request.body.get("messages"), request.body.get("max_tokens"), request.body.get("stream")]
        key = json.dumps(question)
        with lock:
            if key not in kept:
                drawn = request.body | {"temperature": 1.0, "seed": _seed(question)}
                kept[key] = fresh(Asked(request.method, request.path, request.headers, drawn))
            return kept[key]

    return host(answer)
