"""Calls of tools, read from what a model wrote by the syntax of its template; what cannot be read stays as it is."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import JsonValue

from harness.prompts.calls.syntax import CallSyntax, pattern
from harness.suites.requests import Call

Tools = Sequence[Mapping[str, JsonValue]]
_DECODER = json.JSONDecoder()
_NAME = r"[\w.\-/]{1,128}"
_MOST_CALLS = 128


def read_calls(
    text: str, syntax: CallSyntax, tools: Sequence[Mapping[str, JsonValue]] = ()
) -> tuple[str, tuple[Call, ...]]:
    """What a reply says beside its calls, and the calls; arguments that are no JSON stay what they are."""
    calls: list[Call] = []
    said: list[str] = []
    place = 0
    opening, going_on = pattern(syntax.first), pattern(syntax.between)
    end, last = pattern(syntax.end), pattern(syntax.last)
    bare = not syntax.first.strip()
    while len(calls) < _MOST_CALLS:
        start = re.compile(r"\s*(?=[{\[])").match(text, place) if bare else opening.search(text, place)
        if start is None:
            break
        said.append(text[place : start.start()])
        place = start.end()
        while len(calls) < _MOST_CALLS:
            call, place = _CORES[syntax.form](text, place, syntax, tools)
            calls.append(call.model_copy(update={"id": f"call-{len(calls)}"}))
            ended = end.match(text, place)
            place = ended.end() if ended else place
            again = going_on.match(text, place) if syntax.between.strip() else None
            if again is None:
                break
            place = again.end()
        closed = last.match(text, place)
        place = closed.end() if closed else place
    said.append(text[place:])
    return "".join(said).strip(), tuple(calls)


def _rest(text: str, place: int, syntax: CallSyntax) -> int:
    """Where a call ends that cannot be read: before the next mark, or with the text."""
    marks = [mark for mark in (syntax.end, syntax.between, syntax.last, syntax.first) if mark.strip()]
    found = [match.start() for mark in marks if (match := pattern(mark).search(text, place))]
    return max(min(found, default=len(text)), place)


def _read_object(text: str, place: int, syntax: CallSyntax, _: Tools) -> tuple[Call, int]:
    try:
        value, stop = _DECODER.raw_decode(text, place)
    except (ValueError, RecursionError):
        value, stop = None, 0
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, dict):
        stop = _rest(text, place, syntax)
        named = re.search(rf'"{re.escape(syntax.name_key[-1])}"\s*:\s*"({_NAME})"', text[place:stop])
        return Call(name=named[1] if named else "", arguments=text[place:stop]), max(stop, place + 1)
    name, given = _at(value, syntax.name_key), _at(value, syntax.arguments_key)
    return Call(name=name if isinstance(name, str) else "", arguments=_as_text(given)), stop


def _at(value: Any, path: Sequence[str]) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _as_text(given: Any) -> str:
    return given if isinstance(given, str) else "" if given is None else json.dumps(given, ensure_ascii=False)


def _read_named(text: str, place: int, syntax: CallSyntax, _: Tools) -> tuple[Call, int]:
    named = re.compile(rf"({_NAME}?){pattern(syntax.glue).pattern}(?=\{{)").match(text, place)
    if named is None:
        stop = _rest(text, place, syntax)
        found = re.compile(_NAME).match(text, place)
        return Call(name=found[0] if found else "", arguments=text[place:stop]), max(stop, place + 1)
    try:
        _, stop = _DECODER.raw_decode(text, named.end())
    except (ValueError, RecursionError):
        stop = max(_rest(text, named.end(), syntax), named.end() + 1)
    return Call(name=named[1], arguments=text[named.end() : stop]), stop


def _read_tagged(text: str, place: int, syntax: CallSyntax, tools: Tools) -> tuple[Call, int]:
    lazy = "?" if syntax.glue.strip() else ""
    named = re.compile(rf"({_NAME}{lazy}){pattern(syntax.glue).pattern}").match(text, place)
    if named is None:
        stop = _rest(text, place, syntax)
        return Call(name="", arguments=text[place:stop]), max(stop, place + 1)
    pair = re.compile(
        rf"{pattern(syntax.before_key).pattern}({_NAME}?){pattern(syntax.before_value).pattern[:-3]}(.*?)"
        rf"{pattern(syntax.after_value).pattern}", re.DOTALL
    )  # fmt: skip
    given: dict[str, Any] = {}
    place = named.end()
    while (found := pair.match(text, place)) and found.end() > place:
        given[found[1]] = _typed(found[2], _kind(tools, named[1], found[1]))
        place = found.end()
    return Call(name=named[1], arguments=json.dumps(given, ensure_ascii=False)), place


def _kind(tools: Tools, name: str, key: str) -> Any:
    """The declared type of an argument; None where nothing is declared."""
    for tool in tools:
        function: Any = tool.get("function", tool)
        if isinstance(function, dict) and function.get("name") == name:
            return _at(function, ("parameters", "properties", key, "type"))
    return None


def _typed(text: str, kind: Any) -> Any:
    """A value between marks: texts as they are, everything else as JSON where it is some."""
    if kind == "string":
        return text.removeprefix("\n").removesuffix("\n")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text.strip()


_CORES = {"object": _read_object, "named": _read_named, "tagged": _read_tagged}
