"""Long texts of one sort each: how fast token counts grow tells whose tokenizer counts them."""

from __future__ import annotations

from typing import Final

from harness.prompts.conversation import Conversation

#: Repeated as often as the number says. Enough that tokenizers part, little enough that a slow host answers at once.
SLOPES: Final[dict[str, tuple[str, int]]] = {
    "words": ("The quick harbour was unlocked. ", 5),
    "digits": ("31415926535 ", 4),
    "ideographs": ("今天天气很好", 4),
    "emoji": ("🦊🛶👩‍🚀", 4),
    "decomposed": ("cafe\u0301 n\u0303andu\u0301 ", 4),
    "code": ("\tif (a[i] != b) {\n\t\treturn -1;\n\t}\n", 2),
}

#: A text that is long beside the others, but fits into every window in use.
LONG: Final = ("Row after row of grey stones led down to the water. ", 30)


def slope_conversation(piece: str, times: int) -> Conversation:
    """One user message that holds a piece again and again."""
    return Conversation(messages=({"role": "user", "content": (piece * times).strip()},))
