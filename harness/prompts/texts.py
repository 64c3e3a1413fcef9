"""Texts for a host that scores what it is shown: stretches of the core suite's documents, where a nonce says."""

from __future__ import annotations

import random

from harness.suites.load import load_suite
from harness.suites.model import spread

#: Words of one stretch: some hundred tokens, which is what a verdict on a text takes.
_WORDS = 110


def draw_texts(count: int, nonce: str) -> list[str]:
    """``count`` stretches, of as many documents of all kinds; the same nonce draws the same.

    The documents are public. A host could know them by heart; it does not know where a stretch begins.
    """
    drawn = random.Random(f"{nonce} texts")  # noqa: S311 - places, not secrets
    documents = [item for item in load_suite("core").items if item.text]
    found = []
    for item in spread(documents, count):
        words = (item.text or "").split(" ")
        first = drawn.randrange(max(len(words) - _WORDS, 1))
        found.append(" ".join(words[first : first + _WORDS]))
    return found
