"""Faults between text and ids: letters recomposed, line ends changed, control words, parts of a message."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Literal

from pydantic import JsonValue

from harness.prompts.faults.model import Family, Fault, Message, Request, each_message, each_text

_CONTROL = re.compile(r"<\|[^|<>\s]{1,40}\|>|</?s>|<(?:start|end)_of_turn>|\[/?INST\]")


def _letters(form: Literal["NFC", "NFD"]) -> Callable[[Request, Family], Request]:
    def change(request: Request, _: Family) -> Request:
        return each_text(request, lambda text: unicodedata.normalize(form, text))

    return change


def _line_ends(request: Request, _: Family) -> Request:
    return each_text(request, lambda text: text.replace("\r\n", "\n"))


def _controls_stripped(request: Request, _: Family) -> Request:
    return each_text(request, lambda text: _CONTROL.sub("", text), frozenset({"user", "tool"}))


def _marks_stripped(request: Request, _: Family) -> Request:
    """Invisible marks: byte order, direction, joiners, variation selectors."""
    pattern = re.compile("[\ufeff\u200d\u200f\u200e\ufe0f]")
    return each_text(request, lambda text: pattern.sub("", text))


def _joined(glue: str) -> Callable[[Request, Family], Request]:
    def change(request: Request, _: Family) -> Request:
        def joined(message: Message) -> Message:
            texts = _texts(message)
            return message | {"content": glue.join(texts)} if texts else message

        return each_message(request, joined)

    return change


def _texts(message: Message) -> list[str]:
    content = message.get("content")
    if not isinstance(content, list):
        return []
    parts = [part for part in content if isinstance(part, dict)]
    return [str(part["text"]) for part in parts if "text" in part] if len(parts) == len(content) else []


def _parts_cut(request: Request, _: Family) -> Request:
    def change(message: Message) -> Message:
        texts = _texts(message)
        return message | {"content": texts[0]} if texts else message

    return each_message(request, change)


def _image_moved(request: Request, _: Family) -> Request:
    """Images are put before the text, wherever they stood."""

    def is_text(part: JsonValue) -> bool:
        return isinstance(part, dict) and "text" in part

    def change(message: Message) -> Message:
        content = message.get("content")
        return message | {"content": sorted(content, key=is_text)} if isinstance(content, list) else message

    return each_message(request, change)


TOKENIZATION = (
    Fault("text-composed", "tokenization", "S1", "letters are composed (NFC)", request=_letters("NFC")),
    Fault("text-decomposed", "tokenization", "S2", "letters are decomposed (NFD)", request=_letters("NFD")),
    Fault("normalizer-lost", "tokenization", "S1", "the tokenizer's own composition is left out", normalized=False),
    Fault("carriage-returns-lost", "tokenization", "S1", "line ends are rewritten", request=_line_ends),
    Fault("marks-stripped", "tokenization", "S1", "invisible marks are cut out", request=_marks_stripped),
    Fault("controls-stripped", "tokenization", "S1", "control words are cut out of texts", request=_controls_stripped),
    Fault("controls-as-text", "tokenization", "S1", "control words in users' texts become plain text", controls="text"),
    Fault("parts-joined", "tokenization", "S1", "text parts are joined without a gap", request=_joined("")),
    Fault("parts-joined-by-newline", "tokenization", "S1", "text parts are joined by a newline", request=_joined("\n")),
    Fault("parts-cut", "tokenization", "S3", "only the first part of a message is kept", request=_parts_cut),
    Fault("image-moved", "tokenization", "S2", "images are put before the text", request=_image_moved),
)
