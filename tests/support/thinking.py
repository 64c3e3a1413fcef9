"""The demo's model with a template that opens a thought, and gateways that return its reasoning as hosts do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.hosts import Asked, Reply, pass_on

_THOUGHT = "I will answer this."  # always the same, so that so small a model learns to end it
_DEMONSTRATIONS = (
    ("Write a line about colours.", "Blue is a calm colour."),
    ("Explain ice in a sentence.", "Ice is water that is frozen."),
    ("Give me a fact about birds.", "Robins are small birds."),
    ("Write a short poem about rain.", "Rain falls on the roof."),
    ("What would change without roads?", "People would walk more."),
)
#: Behind the header of a reply, in the prompt.
OPENED = "<think>\n"


def thinking_template(folder: Path, *, shows: bool = False) -> str:
    """The demo's template with an opened thought at its end; ``shows`` puts exchanges in front whose thoughts are closed."""
    template = (folder / "chat_template.jinja").read_text(encoding="utf-8")
    header = "<|im_start|>assistant\n' }}"
    assert template.count(header) == 1
    shown = "".join(
        f"<|im_start|>user\n{asked}<|im_end|>\n<|im_start|>assistant\n<think>\n{_THOUGHT}\n</think>\n\n{answer}<|im_end|>\n"
        for asked, answer in _DEMONSTRATIONS
    )
    return (shown if shows else "") + template.replace(header, f"<|im_start|>assistant\n{OPENED}' }}}}")


def thinking_reference(source: Path, folder: Path, *, shows: bool = False) -> Path:
    """A copy of a checkpoint whose replies begin inside of a thought."""
    shutil.copytree(source, folder)
    (folder / "chat_template.jinja").write_text(thinking_template(source, shows=shows), encoding="utf-8")
    return folder


def shaped(form: str, message: dict[str, Any]) -> dict[str, Any]:
    """A raw message as a host returns it: in a field, in parts, inline, with the opening mark in front, or without reasoning."""
    raw = message["content"]
    thought, _, answer = raw.partition("</think>")
    said = {"role": "assistant", "content": answer.strip() or None}
    if form == "inline":
        return {**said, "content": raw}
    if form == "append_think":
        return {**said, "content": f"<think>{raw}"}
    if form == "details":
        return {**said, "reasoning_details": [{"type": "reasoning.text", "text": thought.strip(), "index": 0}]}
    return said if form == "hidden" else {**said, form: thought.strip()}


def thinking_host(base: str, form: str, *, ids: bool = True) -> Callable[[Asked, object], Reply]:
    """Answers of a real server that serves the template, its reasoning in a ``form``, with or without the ids of tokens."""

    def answer(asked: Asked, _: object) -> Reply:
        chat = asked.method == "POST" and asked.path.endswith("/chat/completions")
        plain = {name: value for name, value in asked.body.items() if not name.startswith("stream")}
        body = {**plain, "stream": False, "reasoning_format": "none"} if chat else asked.body
        status, headers, raw = pass_on(base, Asked(asked.method, asked.path, asked.headers, body))
        if not chat or status != 200:
            return status, headers, raw
        fields = json.loads(raw)
        for choice in fields["choices"]:
            choice["message"] = shaped(form, choice["message"])
            if not ids:
                choice.pop("logprobs", None)
        if asked.body.get("stream"):
            return status, {"content-type": "text/event-stream"}, _streamed(fields)
        return status, headers, json.dumps(fields).encode()

    return answer


def _streamed(fields: dict[str, Any]) -> bytes:
    """The same answer as events: every text in two pieces, reasoning first, the bill last."""
    (choice,) = fields["choices"]
    message, around = choice["message"], {"id": "1", "model": fields.get("model")}
    pieces: list[dict[str, Any]] = []
    for name in sorted((name for name in message if name != "role" and message[name]), key="content".__eq__):
        value = message[name]
        halves = [value[: len(value) // 2], value[len(value) // 2 :]] if isinstance(value, str) else [value]
        pieces += [{"delta": {name: half}, "finish_reason": None} for half in halves]
    end = {"delta": {}, "finish_reason": choice["finish_reason"], "logprobs": choice.get("logprobs")}
    events = [{**around, "choices": [piece]} for piece in (*pieces, end)]
    events.append({**around, "choices": [], "usage": fields.get("usage")})
    return "".join(f"data: {one}\n\n" for one in (*map(json.dumps, events), "[DONE]")).encode()
