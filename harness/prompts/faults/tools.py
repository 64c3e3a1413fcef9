"""Faults of tools: offers dropped, rewritten or written as JSON in another way; calls and results mangled."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from harness.prompts.faults.model import Family, Fault, Message, Request, each_message, each_tool

TOOL_PROMPT = (
    "Given the functions available, please respond with a JSON for a function call with its proper arguments that best "
    "answers the given prompt. Respond in the format {name: function name, parameters: dictionary of argument name and "
    "its value}. Do not use variables."
)


def _dropped(request: Request, _: Family) -> Request:
    return request.with_tools(None)


def _flattened(request: Request, _: Family) -> Request:
    def change(tool: Message) -> Message:
        inner = tool.get("function")
        return dict(inner) if isinstance(inner, dict) else tool

    return each_tool(request, change)


def _function(tool: Message) -> dict[str, Any]:
    inner = tool.get("function")
    return dict(inner) if isinstance(inner, dict) else {}


def _strict_added(request: Request, _: Family) -> Request:
    return each_tool(request, lambda tool: tool | {"function": _function(tool) | {"strict": False}})


def _pydantic_order(request: Request, _: Family) -> Request:
    """Keys in the order in which a gateway's own classes declare them."""

    def change(tool: Message) -> Message:
        inner = _function(tool)
        order = ("description", "name", "parameters")
        ordered = {key: inner[key] for key in order if key in inner}
        return tool | {"function": ordered | {key: inner[key] for key in inner if key not in order}}

    return each_tool(request, change)


def _descriptions_dropped(request: Request, _: Family) -> Request:
    return each_tool(
        request, lambda tool: tool | {"function": {k: v for k, v in _function(tool).items() if k != "description"}}
    )


def _prompt_appended(request: Request, _: Family) -> Request:
    """As one engine does: instructions and the tools themselves are put behind the last message."""
    tools, messages = request.conversation.tools, [dict(message) for message in request.conversation.messages]
    if tools is None or not messages or not isinstance(messages[-1].get("content"), str):
        return request
    messages[-1]["content"] = f"{messages[-1]['content']}\n---\n{TOOL_PROMPT}"
    return request.with_messages(messages)


def _rebuilt(request: Request, _: Family) -> Request:
    """An engine that keeps name, description and parameters, and writes empty ones where a tool has none."""

    def change(tool: Message) -> Message:
        inner = _function(tool)
        kept = {
            "name": inner.get("name"),
            "description": inner.get("description", ""),
            "parameters": inner.get("parameters", {}),
        }
        return {"type": "function", "function": kept}

    return each_tool(request, change)


def _compact(request: Request, _: Family) -> Request:
    return request.writing_json(separators=(",", ":"))


def _sorted(request: Request, _: Family) -> Request:
    return request.writing_json(sort_keys=True)


def _html(request: Request, _: Family) -> Request:
    return request.writing_json(escape_html=True)


def _ascii(request: Request, _: Family) -> Request:
    return request.writing_json(ensure_ascii=True)


def _indented(request: Request, _: Family) -> Request:
    return request.writing_json(indent=4)


def _minijinja(request: Request, _: Family) -> Request:
    return request.writing_json(separators=(",", ":"), sort_keys=True, escape_html=True)


def _whole_floats(request: Request, _: Family) -> Request:
    return request.writing_json(whole_floats_as_integers=True)


def _each_call(request: Request, change: Any) -> Request:
    def changed(message: Message) -> Message:
        calls = message.get("tool_calls")
        if isinstance(calls, list):
            message["tool_calls"] = [change(dict(call)) for call in calls if isinstance(call, dict)]
        return message

    return each_message(request, changed)


def _arguments_recoded(kind: type, recode: Callable[[Any], Any]) -> Callable[[Request, Family], Request]:
    def change(call: Message) -> Message:
        inner = _function(call)
        if not isinstance(inner.get("arguments"), kind):
            return call
        return call | {"function": inner | {"arguments": recode(inner["arguments"])}}

    return lambda request, _: _each_call(request, change)


def _as_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _words_dropped(request: Request, _: Family) -> Request:
    def change(message: Message) -> Message:
        return message | {"content": ""} if message.get("tool_calls") and message.get("content") else message

    return each_message(request, change)


def _parallel_cut(request: Request, _: Family) -> Request:
    """Only the first of several calls is kept, and its result."""
    kept: set[str] = set()

    def change(message: Message) -> Message | None:
        calls = message.get("tool_calls")
        if isinstance(calls, list) and calls and isinstance(calls[0], dict):
            kept.add(str(calls[0].get("id")))
            return message | {"tool_calls": calls[:1]}
        if message.get("role") == "tool" and str(message.get("tool_call_id")) not in kept:
            return None
        return message

    return each_message(request, change)


def _results_reordered(request: Request, _: Family) -> Request:
    """Results of one turn are put into the order of its calls."""
    done: list[Message] = []
    order: list[str] = []
    waiting: list[Message] = []

    def place(message: Message) -> int:
        key = str(message.get("tool_call_id"))
        return order.index(key) if key in order else len(order)

    for message in request.conversation.messages:
        if message.get("role") == "tool":
            waiting.append(message)
            continue
        done += sorted(waiting, key=place)
        waiting = []
        calls = message.get("tool_calls")
        if isinstance(calls, list):
            order = [str(call.get("id")) for call in calls if isinstance(call, dict)]
        done.append(message)
    return request.with_messages([*done, *sorted(waiting, key=place)])


def _result_as_user(request: Request, _: Family) -> Request:
    def change(message: Message) -> Message:
        if message.get("role") != "tool":
            return message
        return {"role": "user", "content": message.get("content")}

    return each_message(request, change)


def _messages_dropped(request: Request, _: Family) -> Request:
    return each_message(request, lambda m: None if m.get("role") == "tool" or m.get("tool_calls") else m)


def _ids_rewritten(request: Request, _: Family) -> Request:
    """Call ids are replaced by running numbers of the engine's own."""
    known: dict[str, str] = {}

    def number(old: object) -> str:
        return known.setdefault(str(old), f"chatcmpl-tool-{len(known)}")

    def change(message: Message) -> Message:
        calls = message.get("tool_calls")
        if isinstance(calls, list):
            message["tool_calls"] = [c | {"id": number(c.get("id"))} if isinstance(c, dict) else c for c in calls]
        if "tool_call_id" in message:
            message["tool_call_id"] = number(message["tool_call_id"])
        return message

    return each_message(request, change)


def _null_as(word: str) -> Callable[[Request, Family], Request]:
    def change(request: Request, _: Family) -> Request:
        def changed(message: Message) -> Message:
            return message | {"content": word} if message.get("content") is None else message

        return each_message(request, changed)

    return change


TOOLS = (
    Fault("tools-dropped", "tools", "S3", "tools do not reach the prompt", request=_dropped),
    Fault("tools-flattened", "tools", "S2", "the wrapper of each tool is taken off", request=_flattened),
    Fault("tools-strict-added", "tools", "S2", "a default key is added to each tool", request=_strict_added),
    Fault("tools-pydantic-order", "tools", "S2", "keys of tools are reordered by a gateway", request=_pydantic_order),
    Fault("tools-rebuilt", "tools", "S2", "tools are written again with empty keys for absent ones", request=_rebuilt),
    Fault("tools-descriptions-dropped", "tools", "S2", "descriptions of tools are lost", request=_descriptions_dropped),
    Fault("tools-prompt-appended", "tools", "S2", "an engine's own tool prompt is appended", request=_prompt_appended),
    Fault("tools-compact", "tools", "S2", "JSON is written without blanks", request=_compact),
    Fault("tools-sorted", "tools", "S2", "keys of JSON are sorted", request=_sorted),
    Fault("tools-html-escaped", "tools", "S2", "JSON is escaped as for HTML", request=_html),
    Fault("tools-ascii", "tools", "S2", "letters beyond ASCII are escaped in JSON", request=_ascii),
    Fault("tools-indented", "tools", "S2", "JSON is written with indentation", request=_indented),
    Fault("tools-minijinja", "tools", "S2", "JSON as a stock Rust engine writes it", request=_minijinja),
    Fault("floats-as-integers", "tools", "S2", "1.0 is written as 1", request=_whole_floats),
    Fault(
        "call-arguments-as-text",
        "tools",
        "S2",
        "arguments are encoded twice",
        request=_arguments_recoded(dict, _as_text),
    ),
    Fault(
        "call-arguments-parsed",
        "tools",
        "S2",
        "arguments given as text are parsed",
        request=_arguments_recoded(str, json.loads),
    ),
    Fault("call-words-dropped", "tools", "S2", "words beside a call are lost", request=_words_dropped),
    Fault("parallel-calls-cut", "tools", "S3", "only the first of several calls is kept", request=_parallel_cut),
    Fault(
        "tool-results-reordered", "tools", "S2", "results are put into the order of calls", request=_results_reordered
    ),
    Fault("tool-result-as-user", "tools", "S3", "results are passed off as the user's words", request=_result_as_user),
    Fault("tool-messages-dropped", "tools", "S3", "calls and results are dropped", request=_messages_dropped),
    Fault("call-ids-rewritten", "tools", "S2", "call ids are replaced", request=_ids_rewritten),
    Fault("null-as-text", "tools", "S2", "absent content becomes the word None", request=_null_as("None")),
    Fault("null-as-empty", "tools", "S1", "absent content becomes an empty one", request=_null_as("")),
)
