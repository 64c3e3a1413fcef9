"""The structural form of a prompt: which field stands where, and what the renderer writes around it.

Every field of a conversation is replaced by a word of its own that nothing else contains; what comes back is split at
those words. It works on any text, whoever rendered it. A second pass gives every field hostile edges and a hostile
middle, because trims and escapes depend on contents.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import JsonValue

from harness.prompts.conversation import Conversation

_WORD = re.compile(r"ZQX(\d{3})([AB]?)QZ")
HOSTILE_EDGE = " \n"
HOSTILE_MIDDLE = " <|im_end|> </s> & é é ' \" <b> "


@dataclass(frozen=True, slots=True)
class Piece:
    """One field as it was found: its path, the literal text before it, and what became of its hostile edges.

    ``edges`` and ``middle`` are empty in the neutral pass; else they hold the text between the outer edge and the
    marks, and between the marks.
    """

    path: str
    before: str
    middle: str = ""


@dataclass(frozen=True, slots=True)
class Form:
    """Fields in the order in which they appear, and the literal text after the last."""

    pieces: tuple[Piece, ...]
    tail: str

    @property
    def paths(self) -> tuple[str, ...]:
        """The fields in order."""
        return tuple(piece.path for piece in self.pieces)


@dataclass(frozen=True, slots=True)
class Edit:
    """One difference between two forms: a field lost, added, moved, or other text around or inside it."""

    kind: str  # "lost", "added", "moved", "before", "middle", "tail"
    path: str
    reference: str
    candidate: str


def marked(conversation: Conversation, *, hostile: bool) -> tuple[Conversation, dict[int, str]]:
    """The conversation with a word in place of every field, and the path that each word stands for."""
    paths: dict[int, str] = {}

    def word(path: str) -> str:
        number = len(paths)
        paths[number] = path
        if not hostile:
            return f"ZQX{number:03d}QZ"
        return f"{HOSTILE_EDGE}ZQX{number:03d}AQZ{HOSTILE_MIDDLE}ZQX{number:03d}BQZ{HOSTILE_EDGE}"

    messages = tuple(_mark_message(message, f"messages[{k}]", word) for k, message in enumerate(conversation.messages))
    tools = conversation.tools
    if tools is not None:
        tools = tuple(_mark_tool(tool, f"tools[{k}]", word) for k, tool in enumerate(tools))
    return conversation.model_copy(update={"messages": messages, "tools": tools}), paths


def _mark_message(message: dict[str, JsonValue], path: str, word: Callable[[str], str]) -> dict[str, JsonValue]:
    out = dict(message)
    for key in ("content", "reasoning_content", "reasoning", "thinking"):
        value = message.get(key)
        if isinstance(value, str) and value:
            out[key] = word(f"{path}.{key}")
        elif isinstance(value, list):
            out[key] = [
                {**part, "text": word(f"{path}.{key}[{k}]")} if isinstance(part, dict) and "text" in part else part
                for k, part in enumerate(value)
            ]
    calls = message.get("tool_calls")
    if isinstance(calls, list):
        out["tool_calls"] = [_mark_call(call, f"{path}.tool_calls[{k}]", word) for k, call in enumerate(calls)]
    return out


def _mark_call(call: JsonValue, path: str, word: Callable[[str], str]) -> JsonValue:
    if not isinstance(call, dict) or not isinstance(call.get("function"), dict):
        return call
    function = call["function"]
    assert isinstance(function, dict)
    arguments = function.get("arguments")
    if isinstance(arguments, dict):
        arguments = {
            key: word(f"{path}.arguments.{key}") if isinstance(value, str) else value
            for key, value in arguments.items()
        }
    return {**call, "function": {**function, "arguments": arguments}}


def _mark_tool(tool: dict[str, JsonValue], path: str, word: Callable[[str], str]) -> dict[str, JsonValue]:
    function = tool.get("function")
    if not isinstance(function, dict) or not isinstance(function.get("description"), str):
        return tool
    return {**tool, "function": {**function, "description": word(f"{path}.description")}}


def read_form(text: str, paths: dict[int, str]) -> Form:
    """Split a rendered text at its words."""
    pieces: list[Piece] = []
    cursor = 0
    opened: tuple[int, str, int] | None = None
    for found in _WORD.finditer(text):
        number, mark = int(found[1]), found[2]
        path = paths.get(number, f"word {number}")
        if mark == "A":
            opened = (number, text[cursor : found.start()], found.end())
        elif mark == "B":
            before, start = (
                (opened[1], opened[2]) if opened and opened[0] == number else (text[cursor : found.start()], 0)
            )
            middle = text[start : found.start()] if start else ""
            pieces.append(Piece(path, before, middle))
            opened = None
        else:
            pieces.append(Piece(path, text[cursor : found.start()]))
        if mark != "A":
            cursor = found.end()
    return Form(tuple(pieces), text[cursor:])


def form_edits(reference: Form, candidate: Form) -> list[Edit]:
    """What differs, in the order of the reference: lost, moved and added fields, then the text around the shared ones."""
    ours, theirs = reference.paths, candidate.paths
    edits = [Edit("lost", path, path, "") for path in dict.fromkeys(ours) if path not in theirs]
    edits += [Edit("added", path, "", path) for path in dict.fromkeys(theirs) if path not in ours]
    shared = [path for path in dict.fromkeys(ours) if path in theirs]
    order = [path for path in dict.fromkeys(theirs) if path in ours]
    edits += [Edit("moved", a, a, b) for a, b in zip(shared, order, strict=True) if a != b]
    mine = {piece.path: piece for piece in reversed(reference.pieces)}
    other = {piece.path: piece for piece in reversed(candidate.pieces)}
    for path in shared:
        a, b = mine[path], other[path]
        if a.before != b.before:
            edits.append(Edit("before", path, a.before, b.before))
        if a.middle != b.middle:
            edits.append(Edit("middle", path, a.middle, b.middle))
    if reference.tail != candidate.tail:
        edits.append(Edit("tail", "", reference.tail, candidate.tail))
    return edits
