"""The syntax of calls, learned from a chat template, so that no list of model families is needed.

A conversation with known calls is rendered, and what stands around their names and arguments is the syntax. What was learned is
tried out: other calls, rendered and read back, must come back as they were.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import JsonValue

from harness.prompts.calls.literals import bare_object, closing, python_arguments
from harness.prompts.calls.reading import read_calls
from harness.prompts.calls.syntax import KEY, CallSyntax

Messages = list[dict[str, Any]]
Span = tuple[int, int]
#: Renders a conversation that ends with the assistant's turn; raises ValueError where the template refuses it.
Render = Callable[[Messages], str]
_NAMES = ("alphaTool", "betaTool")
_KEYS = ("kappaOne", "kappaTwo")
_VALUES = (("value-one", "value-two"), ("value-three", "value-four"))
_DECODER = json.JSONDecoder(strict=False)  # ids stand as NUL here


def learn_syntax(render: Render) -> CallSyntax | str:
    """The syntax of a template, or why there is none that is known to be right."""
    reason = "its template does not show calls of tools"
    for ids in (("call00001", "call00002"), tuple(f"functions.{name}:{place}" for place, name in enumerate(_NAMES))):
        for count in (2, 1):
            try:
                region = _region(render, ids[:count])
            except ValueError as error:
                reason = f"its template refuses calls of tools: {str(error)[:120]}"
                continue
            found = next((one for form in _FORMS if (one := form(region, count))), None)
            if found and found.simple and _comes_back(render, found, ids[:count]):
                return found
            reason = "calls that its template writes cannot be read back" if found else reason
    return reason


def _calls(ids: Sequence[str], arguments: Sequence[Mapping[str, Any]]) -> Messages:
    return [
        {"id": own, "type": "function", "function": {"name": name, "arguments": dict(given)}}
        for own, name, given in zip(ids, _NAMES, arguments, strict=False)
    ]


def _turns(calls: Messages) -> Messages:
    asked = {"role": "user", "content": "Question?"}
    return [asked, {"role": "assistant", "content": "", "tool_calls": calls}]


def _region(render: Render, ids: Sequence[str]) -> str:
    """What a template writes for an assistant that calls, without what it writes around every reply; ids as NUL."""
    arguments = [dict(zip(_KEYS, values, strict=True)) for values in _VALUES]
    whole = render(_turns(_calls(ids, arguments)))
    plain = render([{"role": "user", "content": "Question?"}, {"role": "assistant", "content": "Plain answer."}])
    start = _shared(whole, plain)
    stop = _shared(whole[start:][::-1], plain[start:][::-1])
    region = whole[_outside(whole, start) : _outside(whole, len(whole) - stop, after=True)]
    for own in ids:
        region = region.replace(own, "\x00") if not any(name in own for name in _NAMES) else region
    return region


def _outside(text: str, place: int, *, after: bool = False) -> int:
    """A place, or the beginning (the end) of the tag that it lies in."""
    opened = text.rfind("<", 0, place)
    if opened < 0 or ">" in text[opened:place] or not re.match(r"<[^<>\s]*>", text[opened:]):
        return place
    return text.index(">", opened) + 1 if after else opened


def _shared(one: str, other: str) -> int:
    """Characters that two texts share at their beginning."""
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _marks(region: str, spans: Sequence[Span]) -> dict[str, Any]:
    """The marks around calls that lie at ``spans``: what comes before the first, between two, after each and after all."""
    before, tail = region[: spans[0][0]], region[spans[-1][1] :]
    if len(spans) == 1:
        return {"first": before, "between": "", "end": tail}
    middle = region[spans[0][1] : spans[1][0]]
    end = tail[: _whole_marks(tail, _shared(_alike(middle), _alike(tail)))]
    return {"first": before, "between": middle[len(end) :], "end": end, "last": tail[len(end) :]}


def _whole_marks(text: str, stop: int) -> int:
    """The end of a shared beginning, drawn back so that it does not end inside a mark."""
    opened = max(text.rfind("<", 0, stop), text.rfind("[", 0, stop))
    return opened if opened > max(text.rfind(">", 0, stop), text.rfind("]", 0, stop)) else stop


def _whole_end(text: str) -> str:
    """A shared end without the rest of a mark that it begins with."""
    opened, closed = (min((text.find(c) for c in pair if c in text), default=len(text)) for pair in ("<[", ">]"))
    return text[closed + 1 :] if closed < opened < len(text) else text


def _alike(text: str) -> str:
    return re.sub(r"\d", "0", text)


def _object(region: str, count: int) -> CallSyntax | None:
    spans: list[Span] = []
    named: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    for name in _NAMES[:count]:
        found = _holder(region, spans[-1][1] if spans else 0, name)
        if found is None:
            return None
        span, named, given = found
        spans.append(span)
    return CallSyntax(form="object", name_key=named, arguments_key=given, **_marks(region, spans))


def _holder(region: str, place: int, name: str) -> tuple[Span, tuple[str, ...], tuple[str, ...]] | None:
    """The first JSON object from ``place`` on that holds the name and the arguments, and the keys that lead to both."""
    for match in re.compile(r"\{").finditer(region, place):
        try:
            value, stop = _DECODER.raw_decode(region, match.start())
        except ValueError:
            continue
        named = _path(value, lambda one: one == name)
        given = _path(value, lambda one: isinstance(one, dict) and set(one) == set(_KEYS))
        if named and given:
            return (match.start(), stop), named, given
    return None


def _path(value: Any, wanted: Callable[[Any], bool]) -> tuple[str, ...]:
    """Keys that lead to a value inside one or two objects; empty where there is none."""
    for key, one in value.items() if isinstance(value, dict) else ():
        if wanted(one):
            return (key,)
        inner = _path(one, wanted) if isinstance(one, dict) else ()
        if inner:
            return (key, *inner)
    return ()


def _named(region: str, count: int) -> CallSyntax | None:
    spans: list[Span] = []
    glue, place = "", 0
    for name, values in zip(_NAMES[:count], _VALUES, strict=False):
        begin = region.find(name, place)
        brace = region.find("{", begin)
        if begin < 0 or brace < 0:
            return None
        try:
            given, place = _DECODER.raw_decode(region, brace)
        except ValueError:
            return None
        if given != dict(zip(_KEYS, values, strict=True)):
            return None
        glue = region[begin + len(name) : brace]
        spans.append((begin, place))
    return CallSyntax(form="named", glue=glue, **_marks(region, spans))


def _python(region: str, count: int) -> CallSyntax | None:
    spans: list[Span] = []
    for name, values in zip(_NAMES[:count], _VALUES, strict=False):
        begin = region.find(f"{name}(", spans[-1][1] if spans else 0)
        if begin < 0:
            return None
        try:
            stop = closing(region, begin + len(name))
            given = python_arguments(region[begin + len(name) + 1 : stop - 1])
        except ValueError:
            return None
        if given != dict(zip(_KEYS, values, strict=True)):
            return None
        spans.append((begin, stop))
    return CallSyntax(form="python", **_marks(region, spans))


def _loose(region: str, count: int) -> CallSyntax | None:
    spans: list[Span] = []
    glue = quote = ""
    for name, values in zip(_NAMES[:count], _VALUES, strict=False):
        begin = region.find(name, spans[-1][1] if spans else 0)
        brace = region.find("{", begin)
        value = region.find(values[0], brace)
        opened = region[brace + 1 : value]
        if begin < 0 or brace < 0 or value < 0 or not opened.startswith(f"{_KEYS[0]}:"):
            return None
        glue, quote = region[begin + len(name) : brace], opened.removeprefix(f"{_KEYS[0]}:").strip()
        try:
            arguments, stop = bare_object(region, brace, quote) if quote else ("", 0)
        except ValueError:
            return None
        if not quote or json.loads(arguments) != dict(zip(_KEYS, values, strict=True)):
            return None
        spans.append((begin, stop))
    return CallSyntax(form="loose", glue=glue, before_value=quote, **_marks(region, spans))


def _tagged(region: str, count: int) -> CallSyntax | None:
    spans: list[Span] = []
    marks: dict[str, Any] = {}
    place = 0
    for name, values in zip(_NAMES[:count], _VALUES, strict=False):
        begin = region.find(name, place)
        places = [begin, *(region.find(one, begin) for pair in zip(_KEYS, values, strict=True) for one in pair)]
        if begin < 0 or sorted(places) != places:
            return None
        key, value, next_key = places[1], places[2], places[3]
        after = region[value + len(values[0]) : next_key].replace(
            _KEYS[0], KEY
        )  # after a value and before the next key
        glue = region[begin + len(name) : key]
        before = _whole_end(glue[len(glue) - _shared(glue[::-1], after[::-1]) :])
        marks = {
            "glue": glue[: len(glue) - len(before)],
            "before_key": before,
            "before_value": region[key + len(_KEYS[0]) : value],
            "after_value": after[: len(after) - len(before)],
        }
        place = places[-1] + len(values[1]) + len(marks["after_value"].replace(KEY, _KEYS[1]))
        spans.append((begin, place))
    if not marks["before_value"] or not marks["after_value"].strip():
        return None
    return CallSyntax(form="tagged", **marks, **_marks(region, spans))


_FORMS = (_object, _named, _python, _loose, _tagged)


def _comes_back(render: Render, syntax: CallSyntax, ids: Sequence[str]) -> bool:
    """Whether other calls, rendered, are read as they were."""
    given: list[dict[str, Any]] = [
        {"city": 'Zürich "old" <b>', "days": 3, "deep": {"list": [1, True], "text": "東京\n2"}},
        {"line": "a, b"},
    ]
    tools = [
        _tool(_NAMES[0], {"city": "string", "days": "integer", "deep": "object"}),
        _tool(_NAMES[1], {"line": "string"}),
    ]
    try:
        whole = render(_turns(_calls(ids, given)))
    except ValueError:
        return False
    name = whole.find(_NAMES[0])
    before = [match.start() for match in syntax.opening.finditer(whole, 0, name + 1) if match.end() <= name]
    start = _before(whole, name) if syntax.weak else max(before, default=name)
    _, calls = read_calls(whole[start:], syntax, tools)
    try:
        back = [(call.name, json.loads(call.arguments)) for call in calls[: len(ids)]]
    except ValueError:
        return False
    return back == [(name, one) for name, one, _ in zip(_NAMES, given, ids, strict=False)]


def _before(whole: str, name: int) -> int:
    """Where a call without marks begins: at the last opening bracket of its line before the name, or at the name."""
    line = whole.rfind("\n", 0, name) + 1
    brackets = [place for place in range(line, name) if whole[place] in "[{"]
    return brackets[0] if brackets else name


def _tool(name: str, types: Mapping[str, str]) -> dict[str, JsonValue]:
    properties: dict[str, JsonValue] = {key: {"type": kind} for key, kind in types.items()}
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": properties}}}
