"""Hosts that do otherwise than they are told: a real server behind a gateway with one vice each."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from tests.support.hosts import Asked, Host, Reply, host, pass_on

Body = dict[str, Any]


def always(**fields: Any) -> Callable[[Body], Body]:
    """Sets fields whatever is asked for."""
    return lambda body: body | fields


def drawing(temperature: float) -> Callable[[Body], Body]:
    """Draws every reply, with seeds that are the same in every run of a test."""
    seeds = itertools.count(1)
    return lambda body: body | {"temperature": temperature, "seed": next(seeds)}


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
    """A gateway that changes requests, answers, or raw replies; with ``stores`` the same question gets the same answer."""
    kept: dict[str, Reply] = {}

    def answer(request: Asked, _: object) -> Reply:
        key = json.dumps(request.body.get("messages")) + str(request.body.get("max_tokens"))
        if stores and key in kept:
            return kept[key]
        sent = Asked(request.method, request.path, request.headers, asked(request.body))
        status, headers, body = pass_on(base.removesuffix("/v1"), sent)
        if status == 200 and not request.body.get("stream") and request.method == "POST":
            body = json.dumps(answered(json.loads(body))).encode()
        kept[key] = whole(request, (status, headers, body))
        return kept[key]

    return host(answer)
