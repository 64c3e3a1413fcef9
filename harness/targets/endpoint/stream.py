"""Streamed answers: server-sent events out of bytes, put together into one reply. Pure; bytes are read under caps before."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from harness.targets.endpoint.shapes import chat_shaped

_MOST_EVENTS = 1 << 17
_MOST_CALLS = 128
_MARK = b"\xef\xbb\xbf"
#: Fields of a message in which hosts put what a model thought; the first that holds something is read.
REASONING = ("reasoning_content", "reasoning", "thinking", "reasoning_details")
#: A breach of the protocol after which clients put several calls together into one that is none.
SHARED_INDEX = "several calls of a stream share an index"
_HEADS = ("data:", ":", "event:", "id:", "retry:")


@dataclass(slots=True)
class CallPieces:
    """One call of a tool as its pieces come in."""

    head: dict[str, Any] = field(default_factory=dict)  # id and type
    name: Any = None
    arguments: list[Any] = field(default_factory=list)

    def take(self, piece: dict[str, Any]) -> None:
        """Add a piece."""
        self.head |= {name: piece[name] for name in ("id", "type") if piece.get(name)}
        told = piece.get("function")
        if isinstance(told, dict):
            self.name = told.get("name") or self.name
            if told.get("arguments") is not None:
                self.arguments.append(told["arguments"])

    def ends_before(self, piece: dict[str, Any]) -> bool:
        """Whether a piece at the same index belongs to another call: it names a tool where this call is whole, or is none yet.

        Engines that repeat name and id with every piece go on with arguments that are not whole.
        """
        told = piece.get("function")
        if not isinstance(told, dict) or not told.get("name") or self.name is None:
            return False
        said = "".join(one for one in self.arguments if isinstance(one, str))
        other = bool(piece.get("id") and self.head.get("id")) and piece["id"] != self.head["id"]
        whole = _is_json(said)
        return (whole or not said) if other else whole and bool(told.get("arguments"))

    def whole(self) -> dict[str, Any]:
        """The call as it would have come in one piece; arguments that are no text stay what they are."""
        texts = [piece for piece in self.arguments if isinstance(piece, str)]
        others = [piece for piece in self.arguments if not isinstance(piece, str)]
        return self.head | {"function": {"name": self.name, "arguments": others[-1] if others else "".join(texts)}}


@dataclass(slots=True)
class Streamed:
    """What the events of a stream come to."""

    parts: list[str] = field(default_factory=list)
    finish: str = ""
    usage: dict[str, Any] = field(default_factory=dict)
    around: dict[str, Any] = field(
        default_factory=dict
    )  # the model's name, the host's fingerprint, whom a router asked
    told: list[Any] = field(default_factory=list)  # log-probabilities, an entry per token
    ids: list[Any] = field(default_factory=list)
    beside: dict[str, list[Any]] = field(default_factory=dict)  # reasoning, by the field that it came in
    calls: dict[int, CallPieces] = field(default_factory=dict)  # of tools, by their index, as clients put them together
    apart: list[CallPieces] = field(
        default_factory=list
    )  # the same, where several calls share an index, each by itself
    begun: dict[int, int] = field(default_factory=dict)  # by index, which of ``apart`` its pieces belong to
    events: int = 0
    done: bool = False  # whether the host said that it was finished
    problems: list[str] = field(default_factory=list)  # what makes a stream unreadable
    error: Any = None  # that came instead of an end
    faults: list[str] = field(default_factory=list)  # breaches of the protocol that leave it readable

    @property
    def text(self) -> str:
        """All that was written."""
        return "".join(self.parts)

    def apart_of_text(self) -> dict[str, Any]:
        """Reasoning by its field: a text, or parts where the host sends parts."""
        return {
            name: "".join(parts) if all(isinstance(part, str) for part in parts) else parts
            for name, parts in self.beside.items()
        }

    def fields(self) -> dict[str, Any]:
        """The answer that would have come in one piece, in the shape of a chat answer; empty for a stream that broke off.

        A part of a reply is no shorter reply, and nobody knows what a broken event held.
        """
        if not self.finish or set(self.problems) - {_UNENDED}:
            return {}
        choice: dict[str, Any] = {"message": {"content": self.text}, "finish_reason": self.finish}
        choice["message"] |= self.apart_of_text()
        if self.calls:
            choice["message"]["tool_calls"] = [self.calls[index].whole() for index in sorted(self.calls)]
        if self.told:
            choice["logprobs"] = {"content": self.told}
        if self.ids:
            choice["token_ids"] = self.ids
        return {"choices": [choice], "usage": self.usage, **self.around}


def parted(content: Any) -> tuple[str, str]:
    """The text and the thoughts of a message's content: a text, or a list of parts of either kind."""
    if isinstance(content, str):
        return content, ""
    texts: list[str] = []
    thoughts: list[str] = []
    for part in content if isinstance(content, list) else []:
        if isinstance(part, dict):
            thinks = part.get("type") in ("thinking", "reasoning")  # no set: a hostile type has no hash
            said = part.get("thinking") if thinks and part.get("thinking") else part.get("text")
            said = parted(said)[0] if isinstance(said, list) else said
            (thoughts if thinks else texts).append(said if isinstance(said, str) else "")
    return "".join(texts), "".join(thoughts)


def _take_calls(found: Streamed, pieces: Any) -> None:
    """Pieces of calls: name and id come once, arguments bit by bit; which call they belong to is said by their index."""
    for piece in pieces if isinstance(pieces, list) else []:
        if not isinstance(piece, dict):
            found.faults.append("a piece of a call that is no object")
            continue
        index = piece.get("index")
        if type(index) is not int or not 0 <= index < _MOST_CALLS:
            found.faults.append("a piece of a call without an index")
            index = max(found.calls, default=-1) + (1 if piece.get("id") or not found.calls else 0)
        if index >= _MOST_CALLS:
            continue
        at = found.begun.get(index)
        if at is None or found.apart[at].ends_before(piece):
            if at is not None:
                found.faults.append(SHARED_INDEX)
            at = found.begun[index] = len(found.apart)
            found.apart.append(CallPieces())
        for call in (found.calls.setdefault(index, CallPieces()), found.apart[at]):
            call.take(piece)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


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
    found.around |= {name: value[name] for name in ("model", "system_fingerprint", "provider") if value.get(name)}
    usage = value.get("usage")
    if isinstance(usage, dict):
        found.usage = usage
    if isinstance(value.get("error"), (dict, str)):
        found.problems.append("an error in the stream")
        found.error = value["error"]
    choices = value.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        return
    delta = choice.get("delta")
    content, thought = parted(delta.get("content") if isinstance(delta, dict) else choice.get("text"))
    if content:
        found.parts.append(content)
    if thought:
        found.beside.setdefault("thinking", []).append(thought)
    if isinstance(delta, dict):
        for name in REASONING:
            if delta.get(name):
                found.beside.setdefault(name, []).extend(
                    delta[name] if isinstance(delta[name], list) else [delta[name]]
                )
        _take_calls(found, delta.get("tool_calls"))
    logprobs, ids = choice.get("logprobs"), choice.get("token_ids")
    entries = logprobs.get("content") if isinstance(logprobs, dict) else None
    found.told += entries if isinstance(entries, list) else []
    found.ids += ids if isinstance(ids, list) else []
    if isinstance(choice.get("finish_reason"), str) and choice["finish_reason"]:
        found.finish = choice["finish_reason"]
