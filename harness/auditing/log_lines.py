"""One line of a log, whoever wrote it: the request's fields, and the answer in the shape in which a host sends it. Pure.

Shapes: bodies side by side (``request`` and ``response``, or ``input`` and ``output``); bodies within an exchange of HTTP
(``body``, as an object or as text, also as the events of a stream); what gateways keep (``messages`` and ``model_parameters``
beside ``response``); and the flat form, in which the reply's fields stand beside ``messages``.
"""

from __future__ import annotations

import json
from typing import Any

from harness.targets.endpoint.reasoning import read_thought
from harness.targets.endpoint.replies import Reply, reply_of
from harness.targets.endpoint.shapes import chat_shaped
from harness.targets.endpoint.stream import is_stream, read_stream
from harness.targets.endpoint.told import read_told

Fields = dict[str, Any]

_REQUESTS = ("request", "request_body", "input")
_RESPONSES = ("response", "response_body", "output")
_BODIES = ("body", "json", "data")
#: Where gateways keep what was said beside the messages, and where clients put fields that their library does not know.
_BESIDE = ("model_parameters", "optional_params", "modelParameters", "extra_body")
#: What the flat form says of the reply, and what loggers write beside it.
FLAT = frozenset({
    "text", "ids", "finish_reason", "completion_tokens", "prompt_tokens", "usage", "system_fingerprint", "id", "object",
    "created", "timestamp", "time", "date", "latency", "duration", "status", "status_code", "cost", "trace_id", "request_id",
    "session_id", "provider", "reasoning_content", "reasoning_details",
})  # fmt: skip


def read_line(value: Any) -> tuple[Fields, Reply, bool]:
    """The request's fields, the reply, and whether both came as bodies; raises ValueError or TypeError for anything else."""
    if not isinstance(value, dict):
        raise TypeError("not an object")
    sent = next((value[name] for name in _REQUESTS if name in value), None)
    came = next((value[name] for name in _RESPONSES if name in value), None)
    if sent is None and came is not None and isinstance(value.get("messages"), list):
        beside = [value[name] for name in _BESIDE if isinstance(value.get(name), dict)]
        sent = {"messages": value["messages"], **{name: part for one in beside for name, part in one.items()}}
    if sent is None and came is not None:
        raise ValueError("an answer without its request: join the file of requests with it, a line for each")
    if sent is None:
        told = {name for name in ("reasoning", "thinking") if isinstance(value.get(name), str)}  # else it steers
        return {name: one for name, one in value.items() if name not in told}, _flat(value), False
    request = _request(sent)
    if came is None:
        raise ValueError("a request without a response")
    return request, _reply(came), True


def _request(sent: Any) -> Fields:
    """The fields of a request, whatever it is wrapped in."""
    if isinstance(sent, list):
        sent = {"messages": sent}
    body = _unwrapped(sent)
    if not isinstance(body, dict):
        raise TypeError("a request that is no object")
    beside = [body[name] for name in _BESIDE if isinstance(body.get(name), dict)]
    plain = {name: value for name, value in body.items() if name not in _BESIDE or value is not None}
    for part in beside:
        plain |= part
    return {name: value for name, value in plain.items() if name not in _BESIDE}


def _reply(came: Any) -> Reply:
    body = _unwrapped(came)
    if isinstance(body, str) and is_stream(body.encode(errors="replace")):
        return reply_of(read_stream(body.encode(errors="replace")).fields())
    if isinstance(body, list) and all(isinstance(one, dict) for one in body):
        events = "".join(f"data: {json.dumps(one)}\n\n" for one in body) + "data: [DONE]\n\n"
        return reply_of(read_stream(events.encode()).fields())
    if not isinstance(body, dict):
        raise TypeError("a request without a response")
    return reply_of(body)


def _unwrapped(value: Any) -> Any:
    """A body out of an exchange of HTTP; JSON that was kept as a text is read."""
    for _ in range(3):
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError):
                return value
        within = next((name for name in _BODIES if isinstance(value, dict) and name in value), None)
        if within is None or {"messages", "choices"} & set(value):
            return value
        value = value[within]
    return value


def _flat(value: Fields) -> Reply:
    """The flat form, read strictly: it was written for this purpose."""
    ids, text, told = value.get("ids"), value.get("text"), value.get("usage")
    if not isinstance(text, str):
        raise TypeError("no text")
    usage = told if isinstance(told, dict) else {}
    whole = isinstance(ids, list) and all((type(one) is int and one < 0) or one is None for one in ids)
    found = Reply(
        text=text,
        ids=tuple(ids) if isinstance(ids, list) and ids and not whole else None,
        finish=str(value.get("finish_reason") or ""),
        billed=value.get("completion_tokens", usage.get("completion_tokens")),
        prompt=value.get("prompt_tokens", usage.get("prompt_tokens")),
        total=usage.get("total_tokens"),
        told=read_told(chat_shaped({"choices": [value]})["choices"][0]),
    )
    around = reply_of({"choices": [{"text": ""}], **{name: value.get(name) for name in _AROUND}})
    thought = read_thought({name: one for name, one in value.items() if name not in {"content", "messages"}}, usage)
    sound = found.ids is None or all(0 <= one < 1 << 24 for one in found.ids)
    names = {
        "model": around.model, "fingerprint": around.fingerprint, "provider": around.provider, "thought": thought.text,
        "field": thought.field, "withheld": thought.withheld,
    }  # fmt: skip
    return found.model_copy(update=names | ({} if sound else {"ids": None}))


_AROUND = ("model", "system_fingerprint", "provider")
