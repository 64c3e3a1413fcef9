"""The one choke point for text that was not written by us: terminals, HTML and Markdown see only what passes here."""

from __future__ import annotations

import re
import unicodedata

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|!~])")
_ALLOWED_CONTROLS = {"\n", "\t"}


def safe_text(text: str, limit: int = 2000) -> str:
    """Make untrusted text harmless to show: control, bidi and invisible characters become visible escapes.

    Terminal escape sequences, right-to-left overrides and zero-width characters are the three ways in which a model's
    output can change what a reader sees elsewhere. ``limit`` is the longest result in characters.
    """
    kept: list[str] = []
    for char in text[: limit + 1]:
        if char in _ALLOWED_CONTROLS:
            kept.append(char)
        elif unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}:
            kept.append(f"\\u{{{ord(char):x}}}")
        else:
            kept.append(char)
    shown = "".join(kept)
    return shown if max(len(text), len(shown)) <= limit else shown[:limit] + "..."


def safe_line(text: str, limit: int = 200) -> str:
    """Like ``safe_text``, on one line: line breaks and tabs are shown as escapes."""
    return safe_text(text, limit).replace("\n", "\\n").replace("\t", "\\t")


def safe_markdown(text: str, limit: int = 200) -> str:
    """One line of untrusted text with every Markdown and HTML control character escaped."""
    return _MARKDOWN.sub(r"\\\1", safe_line(text, limit))
