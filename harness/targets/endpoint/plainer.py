"""What is said beside a request, the fullest first, and what is left out for hosts that refuse it."""

from __future__ import annotations

import re
from collections.abc import Collection

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

#: Fields that strict hosts refuse, by the words with which they name them.
REFUSABLE: dict[str, re.Pattern[str]] = {
    "stream_options": re.compile(r"stream_options|include_usage"),
    "reasoning_content": re.compile(r"reasoning_content"),
    "seed": re.compile(r"\bseed\b"),
    "max_tokens": re.compile(r"max_completion_tokens"),  # which is what they want instead
}


def refused_fields(complaint: str) -> set[str]:
    """The fields that a complaint names."""
    return {name for name, words in REFUSABLE.items() if words.search(complaint)}


def note(left_out: set[str]) -> str:
    """What a reader has to know of a host that refused fields."""
    return f"the host refuses {', '.join(sorted(left_out))}: it was asked without"


def plainer(body: Body, left_out: Collection[str]) -> Body:
    """A body without what a host refuses; the limit gets its new name."""
    found = {name: value for name, value in body.items() if name not in left_out}
    if "max_tokens" in left_out and "max_tokens" in body:
        renamed = "prompt" not in body
        found["max_completion_tokens" if renamed else "max_tokens"] = body["max_tokens"]
    messages = body.get("messages")
    if "reasoning_content" in left_out and isinstance(messages, list):
        found["messages"] = [_unreasoned(turn) for turn in messages]
    return found


def _unreasoned(turn: JsonValue) -> JsonValue:
    """A message without the reasoning of an earlier turn."""
    return (
        {name: value for name, value in turn.items() if name != "reasoning_content"} if isinstance(turn, dict) else turn
    )
