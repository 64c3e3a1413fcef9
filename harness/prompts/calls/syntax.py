"""How a model writes calls of tools: the marks around them, and the patterns by which they are found again."""

from __future__ import annotations

import re
from typing import Literal

from harness.suites.model import Frozen


class CallSyntax(Frozen):
    """Marks around calls. ``first`` stands before the first call, ``between`` before each further one, ``end`` after each.

    ``glue`` stands between name and arguments; ``before_key``, ``before_value`` and ``after_value`` around tagged arguments.
    Marks are texts; digits in them stand for any number, blanks for any blanks, and NUL for any id. Three forms exist: *object*
    (one JSON object holds name and arguments), *named* (the name, then arguments as JSON) and *tagged* (every argument between
    marks of its own).
    """

    form: Literal["object", "named", "tagged"]
    first: str
    between: str
    end: str
    last: str = ""  # after all calls
    name_key: tuple[str, ...] = ()
    arguments_key: tuple[str, ...] = ()
    glue: str = ""
    before_key: str = ""
    before_value: str = ""
    after_value: str = ""


def pattern(mark: str) -> re.Pattern[str]:
    """A mark as a pattern: any blanks for its blanks, any number for its digits, anything short for an id."""
    parts = re.split(r"(\s+|\d+|\x00)", mark.strip())
    said = [
        r"\s*"
        if part.isspace()
        else r"\d+"
        if part.isdigit()
        else r"[^\s<>{}\[\]]{0,80}?"
        if part == "\x00"
        else re.escape(part)
        for part in parts
        if part
    ]
    return re.compile(r"\s*" + "".join(said) + r"\s*")


def opened_call(syntax: CallSyntax, name: str) -> str:
    """How a reply begins that has to call, the tool of this name where one is given."""
    begun = syntax.first.replace("\x00", "call00001")
    if syntax.form == "object":
        key = syntax.name_key[0] if len(syntax.name_key) == 1 else ""
        return f'{begun}{{"{key}": "{name}", ' if name and key else f'{begun}{{"'
    return f"{begun}{name}{syntax.glue}".replace("\x00", "call00001") if name else begun
