"""Texts for a host that scores what it is shown: stretches of the core suite's documents, where a nonce says."""

from __future__ import annotations

import random

from harness.suites.load import load_suite
from harness.suites.model import spread

#: Characters of one stretch, about a hundred tokens, and how many times as many a document has at least.
_CHARACTERS, _TIMES = 360, 1.5


def draw_texts(count: int, nonce: str) -> list[str]:
    """``count`` stretches, of as many documents of all kinds; the same nonce draws the same.

    The documents are public. A host could know them by heart; it does not know where a stretch begins.
    """
    drawn = random.Random(f"{nonce} texts")  # noqa: S311 - places, not secrets
    documents = [item for item in load_suite("core").items if len(item.text or "") >= _TIMES * _CHARACTERS]
    found = []
    for item in spread(documents, count):
        text = item.text or ""
        first = drawn.randrange(len(text) - _CHARACTERS)
        found.append(text[first : first + _CHARACTERS].strip())
    return found
