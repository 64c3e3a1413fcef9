"""Requests that offer tools, and their answers: what was called, thought and said, and where the answer breaks the protocol.

Everything is read as it came: arguments that are no JSON stay what they are, and a missing id is the host's fault.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import JsonValue

from harness.prompts.thoughts import inline_reasoning
from harness.redact import safe_line
from harness.suites.requests import UNREACHED, Call, Called, Calling
from harness.targets.endpoint.client import Answer
from harness.targets.endpoint.engines.model import text_of
from harness.targets.endpoint.reasoning import read_thought
from harness.targets.endpoint.shapes import chat_shaped
from harness.targets.endpoint.stream import SHARED_INDEX, is_stream, parted, read_stream

#: Statuses that may be others a moment later.
PASSING = frozenset({408, 425, 429})
#: Ends of replies that no model made: of a host that failed, and of one that did not let it speak.
_FAILED = frozenset({"error", "network_error", "insufficient_system_resource"})
_FILTERED = frozenset({"content_filter", "sensitive", "safety"})
_MOST_CALLS, _LONGEST = 128, 200_000


def calling_body(one: Calling, seed: int) -> dict[str, JsonValue]:
    """The fields of a request; the usual choice is not sent, because hosts refuse fields that they do not know."""
    body: dict[str, JsonValue] = {
        "messages": list(one.messages), "tools": list(one.tools), "max_tokens": one.limit, "temperature": one.temperature,
        "stream": one.stream, "seed": seed,
    }  # fmt: skip
    if one.choice in {"none", "required"}:
        body["tool_choice"] = one.choice
    elif one.choice != "auto":
        body["tool_choice"] = {"type": "function", "function": {"name": one.choice}}
    if one.stream:
        body["stream_options"] = {"include_usage": True}
    return body


def read_called(answer: Answer, one: Calling) -> Called:
    """An answer of any host; what is no answer at all is lost, and says why."""
    faults: list[str] = []
    apart: tuple[Call, ...] = ()
    if is_stream(answer.body):
        streamed = read_stream(answer.body)
        faults += streamed.faults
        if SHARED_INDEX in faults:
            told = _calls({"tool_calls": [call.whole() for call in streamed.apart]}, [])
            apart = tuple(dict.fromkeys(told))  # a call that came twice, its id included, is one
        if not streamed.done:
            faults.append("the stream ends without [DONE]")
        if not one.stream:
            faults.append("a stream was sent where none was asked for")
        fields = streamed.fields()
        if not fields:
            why = "; ".join(streamed.problems) or "no finish_reason came"
            return Called(lost=f"the stream is broken: {safe_line(why, 120)}")
    else:
        fields = chat_shaped(answer.fields())
        if one.stream:
            faults.append("no stream was sent where one was asked for")
    choices = fields.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    message = choice.get("message")
    if not isinstance(message, dict):
        return Called(lost="the answer holds no message")
    finish = safe_line(str(choice.get("finish_reason") or ""), 40)
    if finish.lower() in _FAILED:
        return Called(lost=f"{UNREACHED}the host ended the reply as {finish!r}")
    if finish.lower() in _FILTERED:
        return Called(lost=f"the host ended the reply as {finish!r}")
    content = message.get("content")
    said = parted(content)[0]
    text = text_of(said) if content is None or isinstance(content, str | list) else None
    if text is None or len(text) > _LONGEST:
        return Called(lost="the answer's text cannot be read")
    thought = read_thought(message)
    reasoning, field = thought.text[:_LONGEST], thought.field
    if not field:
        reasoning, text = inline_reasoning(text)
        field = "inline" if reasoning else ""
    calls = _calls(message, faults)
    return Called(
        text=text, reasoning=reasoning, field=field, calls=calls, problems=tuple(dict.fromkeys(faults)),
        finish=finish,
        tokens=_written(fields.get("usage")), apart=apart,
    )  # fmt: skip


def passing_failure(answer: Answer) -> str:
    """An error that may pass, though it came with status 200: what gateways say of a host that is busy; empty for none."""
    error = read_stream(answer.body).error if is_stream(answer.body) else answer.fields().get("error")
    if error is None:
        choices = answer.fields().get("choices")
        choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
        error = choice.get("error")
    code = str(error.get("code")) if isinstance(error, dict) else ""
    known = code.isdecimal() and (int(code[:6]) in PASSING or 500 <= int(code[:6]) < 600)
    return safe_line(f"{code} {error.get('message') or ''}".strip(), 200) if known and isinstance(error, dict) else ""


def _written(usage: Any) -> int | None:
    """Tokens that a reply took, reasoning included: some hosts leave it out of ``completion_tokens``."""
    if not isinstance(usage, dict):
        return None
    completion, total, prompt = (usage.get(f"{name}_tokens") for name in ("completion", "total", "prompt"))
    found = [completion] if type(completion) is int else []
    if type(total) is int and type(prompt) is int:
        found.append(total - prompt)
    return max(found) if found and 0 <= max(found) < 1 << 24 else None


def _calls(message: dict[str, Any], faults: list[str]) -> tuple[Call, ...]:
    """The calls of a message, old field or new; breaches of the protocol are added to ``faults``."""
    told = message.get("tool_calls")
    if told is None and isinstance(message.get("function_call"), dict):
        faults.append("the call stands in the field function_call of the old protocol")
        told = [{"id": "-", "type": "function", "function": message["function_call"]}]
    if told is None:
        return ()
    if not isinstance(told, list):
        faults.append("tool_calls is no list")
        return ()
    found: list[Call] = []
    for entry in told[:_MOST_CALLS]:
        function = entry.get("function") if isinstance(entry, dict) else None
        if not isinstance(function, dict):
            faults.append("a call holds no function")
            continue
        name, arguments, own = function.get("name"), function.get("arguments"), entry.get("id")
        if not isinstance(name, str) or not name:
            faults.append("a call has no name")
        if not isinstance(own, str) or not own:
            faults.append("a call has no id")
        elif own in {call.id for call in found}:
            faults.append("two calls have the same id")
        if entry.get("type") != "function":
            faults.append("a call's type is not 'function'")
        if not isinstance(arguments, str):
            faults.append("arguments are not sent as a text")
            arguments = "" if arguments is None else json.dumps(arguments)
        found.append(Call(name=_line(name), arguments=text_of(arguments[:_LONGEST]) or "", id=_line(own)))
    if len(told) > _MOST_CALLS:
        faults.append(f"more than {_MOST_CALLS} calls")
    return tuple(found)


def _line(value: Any) -> str:
    return (text_of(value) or "")[:200] if isinstance(value, str) else ""
