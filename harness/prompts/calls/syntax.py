"""How a model writes calls of tools: the marks around them, and the patterns by which they are found again."""

from __future__ import annotations

import re
from typing import Literal

from harness.suites.model import Frozen

_LONGEST, _MOST_IDS = 400, 2  # characters and ids of a mark
#: Stands for the key of an argument in a mark that repeats it.
KEY = "\x01"


class CallSyntax(Frozen):
    """Marks around calls. ``first`` stands before the first call, ``between`` before each further one, ``end`` after each.

    ``glue`` stands between name and arguments; ``before_key``, ``before_value`` and ``after_value`` around tagged arguments.
    Marks are texts; digits in them stand for any number, blanks for any blanks, and NUL for any id. Five forms exist: *object*
    (one JSON object holds name and arguments), *named* (the name, then arguments as JSON), *python* (``name(key="text")``),
    *loose* (``name{key:<q>text<q>}``, ``before_value`` being the mark around texts) and *tagged* (every argument between marks).
    """

    form: Literal["object", "named", "python", "loose", "tagged"]
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

    @property
    def opening(self) -> re.Pattern[str]:
        """How calls begin: with the last tag before the first of them, and all that stood before that tag if it is there."""
        tags = list(re.finditer(r"[<\[][^<>\[\]]*\w", self.first))
        cut = tags[-1].start() if tags else 0
        return re.compile(
            f"(?:{expression(self.first[:cut])})?{expression(self.first[cut:])}" if cut else expression(self.first)
        )

    @property
    def simple(self) -> bool:
        """Whether its marks are short enough to be looked for in any text: a template may be made to hang who reads by it."""
        marks = (
            self.first,
            self.between,
            self.end,
            self.last,
            self.glue,
            self.before_key,
            self.before_value,
            self.after_value,
        )
        return all(len(mark) <= _LONGEST and mark.count("\x00") <= _MOST_IDS for mark in marks)

    @property
    def weak(self) -> bool:
        """Whether no word or tag announces a call: then only a reply that begins with one holds any."""
        return re.search(r"[\w<|]", self.first) is None


def pattern(mark: str) -> re.Pattern[str]:
    """A mark as a pattern: any blanks for its blanks, any number for its digits, anything short for an id.

    ``true`` and ``false`` stand for each other, and ``KEY`` for the key that was read before.
    """
    return re.compile(expression(mark))


def expression(mark: str) -> str:
    """The regular expression of a mark; blanks around it are taken, too."""
    parts = re.split(rf"(\s+|\d+|\x00|{KEY}|\btrue\b|\bfalse\b)", mark.strip())
    return r"\s*" + "".join(_part(part) for part in parts if part) + r"\s*"


def _part(part: str) -> str:
    if part.isspace():
        return r"\s*"
    if part.isdigit():
        return r"\d+"
    if part in {"true", "false"}:
        return "(?:true|false)"
    return {"\x00": r"[^\s<>{}\[\]]{0,80}?", KEY: "(?P=key)"}.get(part) or re.escape(part)


def opened_call(syntax: CallSyntax, name: str) -> str:
    """How a reply begins that has to call, the tool of this name where one is given."""
    begun = syntax.first.replace("\x00", "call00001")
    if syntax.form == "object":
        key = syntax.name_key[0] if len(syntax.name_key) == 1 else ""
        return f'{begun}{{"{key}": "{name}",' if name and key else f'{begun}{{"'
    if syntax.form in {"python", "loose"}:
        return f"{begun}{name}{'(' if syntax.form == 'python' else syntax.glue + '{'}" if name else begun
    return f"{begun}{name}{syntax.glue}".replace("\x00", "call00001") if name else begun
