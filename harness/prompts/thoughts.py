"""Reasoning that stands in a text: between marks at its beginning."""

from __future__ import annotations

#: How reasoning begins and ends where nobody has taken it out of the text.
THOUGHTS = (("<think>", "</think>"), ("<mm:think>", "</mm:think>"), ("[THINK]", "[/THINK]"))


def inline_reasoning(text: str, prompt: str = "") -> tuple[str, str]:
    """Reasoning at the beginning of a reply, and the rest; templates may have opened it already, in the ``prompt``.

    Reasoning that does not end is all of the reply.
    """
    bare = text.lstrip()
    for begin, end in THOUGHTS:
        opened = prompt.rstrip().endswith(begin) or (end in bare and begin not in bare)
        if bare.startswith(begin) or opened:
            reasoning, _, rest = bare.removeprefix(begin).partition(end)
            return reasoning.strip(), rest.lstrip()
    return "", text
