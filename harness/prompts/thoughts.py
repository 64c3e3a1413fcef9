"""Reasoning that stands in a text: between marks at its beginning."""

from __future__ import annotations

#: How reasoning begins and ends where nobody has taken it out of the text.
THOUGHTS = (
    ("<think>", "</think>"), ("<mm:think>", "</mm:think>"), ("<seed:think>", "</seed:think>"), ("<thinking>", "</thinking>"),
    ("[THINK]", "[/THINK]"), ("\u25c1think\u25b7", "\u25c1/think\u25b7"),
)  # fmt: skip


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


def closed_reasoning(prompt: str) -> str:
    """A prompt whose reasoning, if its template has opened some, is ended again."""
    for begin, end in THOUGHTS:
        if prompt.rstrip().endswith(begin):
            return f"{prompt.rstrip()}\n\n{end}\n\n"
    return prompt
