"""Streamed answers: server-sent events out of bytes, put together into one reply. Pure; bytes are read under caps before."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from harness.targets.endpoint.shapes import chat_shaped

_MOST_EVENTS = 1 << 17
_MARK = b"\xef\xbb\xbf"
_HEADS = ("data:", ":", "event:", "id:", "retry:")


@dataclass(slots=True)
class Streamed:
    """What the events of a stream come to."""

    parts: list[str] = field(default_factory=list)
    finish: str = ""
    usage: dict[str, Any] = field(default_factory=dict)
    around: dict[str, Any] = field(default_factory=dict)  # the model's name and the host's fingerprint
    told: list[Any] = field(default_factory=list)  # log-probabilities, an entry per token
    ids: list[Any] = field(default_factory=list)
    reasoned: bool = False  # whether a part of what the model wrote came beside the text
    events: int = 0
    done: bool = False  # whether the host said that it was finished
    problems: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All that was written."""
        return "".join(self.parts)

    def fields(self) -> dict[str, Any]:
        """The answer that would have come in one piece, in the shape of a chat answer; empty for a stream that broke off.

        A part of a reply is no shorter reply, and nobody knows what a broken event held.
        """
        if not self.finish or set(self.problems) - {_UNENDED}:
            return {}
        choice: dict[str, Any] = {"message": {"content": self.text}, "finish_reason": self.finish}
        if self.reasoned:
            choice["message"]["reasoning_content"] = "(streamed)"
        if self.told:
            choice["logprobs"] = {"content": self.told}
        if self.ids:
            choice["token_ids"] = self.ids
        return {"choices": [choice], "usage": self.usage, **self.around}


_UNENDED = "the stream ends without [DONE]"


def is_stream(body: bytes) -> bool:
    """Whether bytes begin as a stream of events does, and as no JSON can."""
    return body[:64].removeprefix(_MARK).lstrip().decode("latin-1").startswith(_HEADS)


def read_stream(body: bytes) -> Streamed:
    """Put a stream together; what cannot be read is a problem, never a guess.

    Events may be cut anywhere, also within characters; comments and unknown fields are passed over, as the standard says.
    """
    found = Streamed()
    body = body.removeprefix(_MARK)
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = body.decode(errors="replace")
        found.problems.append("not UTF-8")
    for event in _events(text):
        if found.done:
            found.problems.append("events after the end")
            break
        if event == "[DONE]":
            found.done = True
            continue
        found.events += 1
        if found.events > _MOST_EVENTS:
            found.problems.append("too many events")
            break
        try:
            value = json.loads(event)
        except (ValueError, RecursionError):
            found.problems.append("an event that is no JSON")
            continue
        if isinstance(value, dict):
            _take(found, value)
    if found.events and not found.done:
        found.problems.append(_UNENDED)
    return found


def _events(text: str) -> list[str]:
    """The data of every event; several data lines of one event belong together."""
    found: list[str] = []
    data: list[str] = []
    for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        if not line:
            if data:
                found.append("\n".join(data))
            data = []
        elif line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
    return [*found, "\n".join(data)] if data else found


def _take(found: Streamed, value: dict[str, Any]) -> None:
    value = chat_shaped(value)
    found.around |= {name: value[name] for name in ("model", "system_fingerprint") if value.get(name)}
    usage = value.get("usage")
    if isinstance(usage, dict):
        found.usage = usage
    if isinstance(value.get("error"), (dict, str)):
        found.problems.append("an error in the stream")
    choices = value.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        return
    delta = choice.get("delta")
    content = delta.get("content") if isinstance(delta, dict) else choice.get("text")
    if isinstance(content, str):
        found.parts.append(content)
    hidden = ("reasoning_content", "reasoning", "tool_calls")
    found.reasoned |= isinstance(delta, dict) and any(delta.get(name) for name in hidden)
    logprobs, ids = choice.get("logprobs"), choice.get("token_ids")
    entries = logprobs.get("content") if isinstance(logprobs, dict) else None
    found.told += entries if isinstance(entries, list) else []
    found.ids += ids if isinstance(ids, list) else []
    if isinstance(choice.get("finish_reason"), str) and choice["finish_reason"]:
        found.finish = choice["finish_reason"]
