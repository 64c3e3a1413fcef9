"""Messages whose content comes in text parts, as the text that engines make of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from harness.prompts.conversation import Conversation

#: What engines put between several text parts of one message, the commonest first. vLLM and llama.cpp put a line break
#: (``prompts/deviations.py``); others a blank; templates that go through the parts themselves mostly nothing.
GAPS = {"\n": "by line breaks", " ": "by blanks", "": "without a gap"}
_TEXT = ("text", "input_text", "output_text")


def is_split(conversation: Conversation) -> bool:
    """Whether a message has several text parts, so that engines may differ."""
    return any(isinstance(content := one.get("content"), list) and len(content) > 1 for one in conversation.messages)


def in_one_text(conversation: Conversation, gap: str = "\n") -> Conversation:
    """The conversation with every content as one text; raises ValueError for a part that is no text."""
    return conversation.model_copy(update={"messages": tuple(_whole(one, gap) for one in conversation.messages)})


def _whole(message: Mapping[str, JsonValue], gap: str) -> dict[str, JsonValue]:
    content = message.get("content")
    if not isinstance(content, list):
        return dict(message)
    return {**message, "content": gap.join(_text(part) for part in content)}


def _text(part: JsonValue) -> str:
    if isinstance(part, str):
        return part
    said = part.get("text") if isinstance(part, dict) and part.get("type", "text") in _TEXT else None
    if not isinstance(said, str):
        kind = part.get("type") if isinstance(part, dict) else type(part).__name__
        raise ValueError(f"a part of a message is no text ({str(kind)[:40]}); only texts are compared")  # noqa: TRY004
    return said
