"""Arguments that are no JSON: keywords as in Python, and objects whose keys are bare and whose texts stand between marks.

Both are turned into JSON; what cannot be read raises ValueError. Nothing is evaluated.
"""

from __future__ import annotations

import ast
import json
import re
from typing import Any

_WORDS = {"true": True, "false": False, "null": None, "none": None}
_LONGEST, _DEEPEST = 100_000, 60


def closing(text: str, place: int) -> int:
    """The place behind the bracket that closes the one at ``place``; brackets inside quoted texts do not count."""
    depth, quote, place_of = 0, "", place
    while place_of < min(len(text), place + _LONGEST):
        char = text[place_of]
        if quote:
            if char == "\\":
                place_of += 1
            elif char == quote:
                quote = ""
        elif char in "\"'":
            quote = char
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
            if depth == 0:
                return place_of + 1
        place_of += 1
    raise ValueError("the bracket is not closed")


def python_arguments(text: str) -> dict[str, Any]:
    """``a="x", b=[1, True]`` as a dictionary; JSON's own words are taken, too."""
    try:
        call = ast.parse(f"f({text})", mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError("these are no arguments") from error
    if not isinstance(call, ast.Call) or call.args or any(word.arg is None for word in call.keywords):
        raise ValueError("arguments without names")
    return {str(word.arg): _literal(word.value, 0) for word in call.keywords}


def _literal(node: ast.expr, depth: int) -> Any:
    if depth > _DEEPEST:
        raise ValueError("too deep")
    if isinstance(node, ast.Constant) and not isinstance(node.value, bytes | complex | type(...)):
        return node.value
    if isinstance(node, ast.Name) and node.id.lower() in _WORDS:
        return _WORDS[node.id.lower()]
    if isinstance(node, ast.List | ast.Tuple):
        return [_literal(one, depth + 1) for one in node.elts]
    if isinstance(node, ast.Dict) and all(key is not None for key in node.keys):
        keys = [_literal(key, depth + 1) for key in node.keys if key is not None]
        return {str(key): _literal(value, depth + 1) for key, value in zip(keys, node.values, strict=True)}
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = _literal(node.operand, depth + 1)
        if isinstance(value, int | float):
            return -value
    raise ValueError("no literal")


def bare_object(text: str, place: int, quote: str) -> tuple[str, int]:
    """``{key:<q>text<q>,n:3}`` at ``place`` as JSON, and the place behind it; ``quote`` is the mark around texts."""
    token = re.compile(rf"{re.escape(quote)}(.*?){re.escape(quote)}|[{{}}\[\],:]|[^{{}}\[\],:\s]+|\s+", re.DOTALL)
    made: list[str] = []
    depth = 0
    while found := token.match(text, place):
        place = found.end()
        piece = found[0]
        if found[1] is not None:
            made.append(json.dumps(found[1], ensure_ascii=False))
        elif piece in "{}[],:" or piece.isspace():
            made.append(piece)
            depth += (piece in "{[") - (piece in "}]")
            if depth == 0 and not piece.isspace():
                break
        else:
            key = re.match(r"\s*:", text[place : place + 20]) is not None
            word = piece if key else _WORDS.get(piece.lower(), piece)
            made.append(piece if not key and _plain(piece) else json.dumps(word, ensure_ascii=False))
    whole = "".join(made)
    json.loads(whole)
    return whole, place


def _plain(piece: str) -> bool:
    """Whether a word is a JSON value as it stands."""
    try:
        json.loads(piece)
    except ValueError:
        return False
    return True
