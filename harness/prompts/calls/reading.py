"""Calls of tools, read from what a model wrote by the syntax of its template; what cannot be read stays as it is."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import JsonValue

from harness.prompts.calls.literals import bare_object, closing, python_arguments
from harness.prompts.calls.syntax import CallSyntax, expression, pattern
from harness.suites.requests import Call

Tools = Sequence[Mapping[str, JsonValue]]
_DECODER = json.JSONDecoder()
_NAME = r"[\w.\-/]{1,128}"
_MOST_CALLS, _DEEPEST = 128, 20


def read_calls(
    text: str, syntax: CallSyntax, tools: Sequence[Mapping[str, JsonValue]] = ()
) -> tuple[str, tuple[Call, ...]]:
    """What a reply says beside its calls, and the calls; arguments that are no JSON stay what they are."""
    calls: list[Call] = []
    said: list[str] = []
    place = 0
    opening, going_on = syntax.opening, pattern(syntax.between)
    end, last = pattern(syntax.end), pattern(syntax.last)
    if syntax.weak and not _begins(text, syntax):
        return text.strip(), ()
    while len(calls) < _MOST_CALLS:
        start = (opening.match if syntax.weak else opening.search)(text, place)
        if start is None or (syntax.weak and not _begins(text[place:], syntax)):
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


def _begins(text: str, syntax: CallSyntax) -> bool:
    """Whether a reply without marks begins with a call that can be read to its end."""
    start = pattern(syntax.first).match(text)
    place = start.end() if start else 0
    try:
        if syntax.form == "object":
            value, _ = _DECODER.raw_decode(text, place)
            return isinstance(_at(value, syntax.name_key), str)
        named = re.compile(_NAME).match(text, place)
        return bool(named and text[named.end() : named.end() + 1] == "(" and closing(text, named.end()))
    except (ValueError, RecursionError):
        return False


def _rest(text: str, place: int, syntax: CallSyntax) -> int:
    """Where a call ends that cannot be read: before the next mark, or with the text."""
    marks = [pattern(mark) for mark in (syntax.end, syntax.between, syntax.last) if mark.strip()]
    marks += [] if syntax.weak else [syntax.opening]
    found = [match.start() for mark in marks if (match := mark.search(text, place))]
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
    pair = _pair(syntax)
    given: dict[str, Any] = {}
    place = named.end()
    while (found := pair.match(text, place)) and found.end() > place:
        given[found["key"]] = _typed(found["value"], _kind(tools, named[1], found["key"]), pair)
        place = found.end()
    return Call(name=named[1], arguments=json.dumps(given, ensure_ascii=False)), place


def _read_python(text: str, place: int, syntax: CallSyntax, _: Tools) -> tuple[Call, int]:
    named = re.compile(rf"({_NAME})\(").match(text, place)
    if named is None:
        stop = _rest(text, place, syntax)
        return Call(name="", arguments=text[place:stop]), max(stop, place + 1)
    try:
        stop = closing(text, named.end() - 1)
    except ValueError:
        stop = max(_rest(text, named.end(), syntax), named.end())
        return Call(name=named[1], arguments=text[named.end() : stop]), stop
    inside = text[named.end() : stop - 1]
    try:
        return Call(name=named[1], arguments=json.dumps(python_arguments(inside), ensure_ascii=False)), stop
    except (ValueError, RecursionError):
        return Call(name=named[1], arguments=inside), stop


def _read_loose(text: str, place: int, syntax: CallSyntax, _: Tools) -> tuple[Call, int]:
    lazy = "?" if syntax.glue.strip() else ""
    named = re.compile(rf"({_NAME}{lazy}){expression(syntax.glue)}(?=\{{)").match(text, place)
    try:
        if named is None:
            raise ValueError("no name")
        arguments, stop = bare_object(text, named.end(), syntax.before_value)
    except (ValueError, RecursionError):
        stop = max(_rest(text, place, syntax), place + 1)
        return Call(name=named[1] if named else "", arguments=text[named.end() if named else place : stop]), stop
    return Call(name=named[1], arguments=arguments), stop


def _kind(tools: Tools, name: str, key: str) -> Any:
    """The declared type of an argument; None where nothing is declared."""
    for tool in tools:
        function: Any = tool.get("function", tool)
        if isinstance(function, dict) and function.get("name") == name:
            return _at(function, ("parameters", "properties", key, "type"))
    return None


def _pair(syntax: CallSyntax) -> re.Pattern[str]:
    """One tagged argument; blanks that follow the mark before a value belong to the value."""
    before = expression(syntax.before_value).removesuffix(r"\s*")
    ends = expression(syntax.after_value)
    return re.compile(rf"{expression(syntax.before_key)}(?P<key>{_NAME}?){before}(?P<value>.*?){ends}", re.DOTALL)


def _typed(text: str, kind: Any, pair: re.Pattern[str], depth: int = 0) -> Any:
    """A value between marks: texts as they are, everything else as JSON where it is some, or as marks inside marks."""
    if text.startswith("<![CDATA[") and text.endswith("]]>"):
        return text[len("<![CDATA[") : -len("]]>")]
    if kind == "string":
        return text.removeprefix("\n").removesuffix("\n")
    if depth < _DEEPEST and pair.match(text):
        return _inner(text, pair, depth)
    for read in (json.loads, ast.literal_eval):
        try:
            return json.loads(json.dumps(read(text.strip())))
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            continue
    return text.strip()


def _inner(text: str, pair: re.Pattern[str], depth: int) -> Any:
    """Arguments inside an argument: an object, or a list where all of them are called item."""
    found, place = [], 0
    while (match := pair.match(text, place)) and match.end() > place:
        found.append((match["key"], _typed(match["value"], None, pair, depth + 1)))
        place = match.end()
    return [value for _, value in found] if all(key == "item" for key, _ in found) else dict(found)


_CORES = {
    "object": _read_object,
    "named": _read_named,
    "python": _read_python,
    "loose": _read_loose,
    "tagged": _read_tagged,
}
