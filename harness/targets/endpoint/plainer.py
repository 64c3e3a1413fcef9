"""What is said beside a request, the fullest first, and what is left out for hosts that refuse it."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import JsonValue

Body = dict[str, JsonValue]
_PLAIN: Body = {"top_p": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0}
#: What is said of penalties and cut-offs, the fullest first: hosts add those of the release where they are told nothing.
NEUTRAL: tuple[Body, ...] = (
    {**_PLAIN, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0, "repeat_penalty": 1.0},
    {**_PLAIN, "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0},
    _PLAIN,
    {},
)
NOTE = "the host refuses some of what it was sent (usage of streams, reasoning of earlier turns, seeds, max_tokens): left out"


def without(body: Body, *names: str) -> Body:
    """A body without some of its fields."""
    return {name: value for name, value in body.items() if name not in names}


def _unreasoned(body: Body) -> Body:
    """Messages without the reasoning of earlier turns, which strict hosts refuse."""
    messages = body.get("messages")
    turns = messages if isinstance(messages, list) else []
    plain: list[JsonValue] = [without(turn, "reasoning_content") if isinstance(turn, dict) else turn for turn in turns]
    return body | ({"messages": plain} if plain else {})


def _renamed(body: Body) -> Body:
    """The limit by its new name, for hosts that refuse the old one."""
    return without(body, "max_tokens") | ({"max_completion_tokens": body["max_tokens"]} if "max_tokens" in body else {})


#: What is left out or renamed, one thing after another.
PLAINER: tuple[Callable[[Body], Body], ...] = (
    lambda body: body,
    lambda body: without(body, "stream_options"),
    lambda body: _unreasoned(without(body, "stream_options")),
    lambda body: without(_unreasoned(body), "stream_options", "seed"),
    lambda body: _renamed(without(_unreasoned(body), "stream_options", "seed")),
)
#: From here on a field of every request is left out: what is found of one holds for all.
FOR_ALL = 3
