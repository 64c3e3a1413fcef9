"""Replies that are made to be right, and replies that are made to fail one aspect: whether an aspect can fail at all. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from harness.suites.requests import Call, Called
from harness.suites.tool_cases import ToolCase

_NOTHING = "\u00a7"  # a text that answers nothing
_LETTERS = {"CJK": "天気", "HIRAGANA": "てんき", "KATAKANA": "テンキ", "HANGUL": "날씨", "CYRILLIC": "погода", "ARABIC": "الطقس",
            "GREEK": "καιρός", "DEVANAGARI": "मौसम", "HEBREW": "אוויר", "THAI": "อากาศ"}  # fmt: skip


def right_reply(case: ToolCase) -> Called:
    """A reply that is right in every aspect."""
    calls = [
        Call(name=wanted.name, id=f"call-{n}", arguments=json.dumps(
            _required(case, wanted.name) | {key: values[0] for key, values in wanted.arguments.items()}, ensure_ascii=False))
        for n, wanted in enumerate(case.calls)
    ]  # fmt: skip
    if calls:
        return Called(calls=tuple(calls), finish="tool_calls", reasoning="hm", field="reasoning_content", tokens=1)
    words = [*_words(case), *case.says[:1], *case.says_too[:1]]
    return Called(text=" ".join(words) or "Well.", finish="stop", reasoning="hm", field="reasoning_content", tokens=1)


def wrong_reply(case: ToolCase, aspect: str) -> Called:
    """A reply that fails an aspect, where this case can show it."""
    return _WRONG[aspect](case, right_reply(case))


def _words(case: ToolCase) -> list[str]:
    return [_LETTERS[script] for script in case.scripts if script in _LETTERS]


def _required(case: ToolCase, name: str) -> dict[str, object]:
    """The least that a schema asks for."""
    schema = case.schemas[name]
    wanted = schema.get("required", []) if isinstance(schema, dict) else []
    return dict.fromkeys((str(key) for key in wanted), "x") if isinstance(wanted, list) else {}


def _flipped(case: ToolCase, reply: Called) -> Called:
    """A call where none was right, and none where one was."""
    if reply.calls:
        return reply.model_copy(update={"calls": (), "text": _NOTHING, "finish": "stop"})
    name = next(iter(case.schemas))
    call = Call(name=name, arguments=json.dumps(_required(case, name)), id="call-0")
    return reply.model_copy(update={"calls": (call,), "text": "", "finish": "tool_calls"})


def _misnamed(_: ToolCase, reply: Called) -> Called:
    return reply.model_copy(
        update={"calls": tuple(call.model_copy(update={"name": "no_such_tool"}) for call in reply.calls)}
    )


def _emptied(_: ToolCase, reply: Called) -> Called:
    return reply.model_copy(
        update={"calls": tuple(call.model_copy(update={"arguments": "{}"}) for call in reply.calls)}
    )


def _broken(case: ToolCase, reply: Called) -> Called:
    calls = reply.calls or _flipped(case, reply).calls
    return reply.model_copy(update={"calls": tuple(call.model_copy(update={"arguments": '{"a": '}) for call in calls)})


def _said(text: str) -> Callable[[ToolCase, Called], Called]:
    return lambda _, reply: reply.model_copy(update={"calls": (), "text": text, "finish": "stop"})


_WRONG: Mapping[str, Callable[[ToolCase, Called], Called]] = {
    "case": _flipped,
    "content": _flipped,
    "trigger": _flipped,
    "forced": _flipped,
    "choice": _misnamed,
    "arguments": _emptied,
    "schema": _broken,
    "answer": lambda case, reply: _said(_NOTHING if case.says else "")(case, reply),
    "language": _said("It is warm."),
    "speaks": _said(""),
    "marks": lambda _, reply: reply.model_copy(update={"text": reply.text + "<|im_end|>"}),
    "finish": lambda _, reply: reply.model_copy(update={"finish": "error" if reply.calls else "tool_calls"}),
    "protocol": lambda _, reply: reply.model_copy(update={"problems": ("a call has no id",)}),
    "streams": _flipped,
    "ends": lambda _, reply: reply.model_copy(update={"finish": "length"}),
}
