"""Where a message holds what the model thought before it answered: fields, lists of parts and kinds of parts. Pure.

- ``reasoning_content``, ``reasoning``, ``thinking``: a text;
- ``reasoning_details``: parts of type ``reasoning.text``, ``reasoning.summary`` or ``reasoning.encrypted``;
- ``content`` as a list whose parts are of type ``thinking`` or ``reasoning``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from harness.prompts.thoughts import THOUGHTS
from harness.targets.endpoint.engines.model import text_of
from harness.targets.endpoint.stream import REASONING, parted

Withheld = Literal["", "hidden", "summarised", "contradictory"]


@dataclass(frozen=True, slots=True)
class Thought:
    """What a message tells of reasoning: the text as it came, the field that held it, and why it is not what was written.

    ``withheld`` is ``hidden`` where reasoning was billed or sent encrypted and not shown, ``summarised`` where something else
    was shown in its place, ``contradictory`` where two fields tell different things.
    """

    text: str = ""
    field: str = ""
    withheld: Withheld = ""


def read_thought(message: dict[str, Any], usage: Any = None) -> Thought:
    """The reasoning of a message; ``usage`` is the answer's bill, which may speak of reasoning that nobody sees."""
    values = {name: message.get(name) for name in REASONING}
    inside = parted(message.get("content"))[1]
    if inside:
        values["thinking"] = inside
    kinds = [
        str(part.get("type"))
        for value in values.values()
        if isinstance(value, list)
        for part in value
        if isinstance(part, dict)
    ]
    texts = {name: _text(value) for name, value in values.items()}
    told = {name: text for name, text in texts.items() if text.strip()}
    if any("summary" in kind for kind in kinds):
        return Thought(next(iter(told.values()), ""), next(iter(told), ""), "summarised")
    if not told:
        shown = parted(message.get("content"))[0]
        inline = any(mark in shown for pair in THOUGHTS for mark in pair)
        hidden = any("encrypted" in kind for kind in kinds) or thinking_tokens(usage) > 0
        return Thought(withheld="hidden" if hidden and not inline else "")
    field, text = next(iter(told.items()))
    same = len({" ".join(one.split()) for one in told.values()}) == 1
    return Thought(text, field, "" if same else "contradictory")


def thinking_tokens(usage: Any) -> int:
    """How many tokens a bill lays on reasoning; 0 where it does not say."""
    details = usage.get("completion_tokens_details") if isinstance(usage, dict) else None
    count = details.get("reasoning_tokens") if isinstance(details, dict) else None
    return count if type(count) is int and 0 <= count < 1 << 24 else 0


def _text(value: Any) -> str:
    """The text of a field, or of the parts of a list: pieces of a stream follow each other without anything between."""
    if isinstance(value, list):
        parts = [part.get("text") or part.get("summary") for part in value if isinstance(part, dict)]
        value = "".join(part for part in parts if isinstance(part, str))
    return (text_of(value) or "") if isinstance(value, str) else ""
