"""Requests that offer tools, answered by a loaded model, rendered and read back by its own template; in the isolated process.

An engine in front of a model does more: it forces calls by a grammar and repairs what it reads. Here a forced call is begun
for the model, which writes on, and what it writes is read as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.prompts.calls.learning import Render, learn_syntax
from harness.prompts.calls.reading import read_calls
from harness.prompts.calls.syntax import CallSyntax, opened_call
from harness.prompts.thoughts import closed_reasoning, inline_reasoning
from harness.suites.requests import UNREADABLE, Called, Calling, Opening, Writing, Written
from harness.targets.checkpoint.loading import Loaded
from harness.targets.checkpoint.openings import encode_opening
from harness.targets.checkpoint.tokenization import render_tools
from harness.targets.checkpoint.writing import Prompt, write_replies


def call_tools(loaded: Loaded, tokenizer: Any, asked: Sequence[Calling], length: int, seed: int) -> list[Called]:
    """One answer per request; all run together, and must want the same limit and temperature.

    A conversation that does not fit into ``length`` with its answer is lost: a part of a list of tools is another request.
    """
    syntax, as_text = learn_syntax(_renderer(tokenizer, as_text=False)), False
    if isinstance(syntax, str):  # some templates put arguments together as texts
        again = learn_syntax(_renderer(tokenizer, as_text=True))
        syntax, as_text = (syntax, False) if isinstance(again, str) else (again, True)
    if isinstance(syntax, str):
        return [Called(lost=UNREADABLE + syntax) for _ in asked]
    found: dict[int, Called] = {}
    running: list[tuple[int, Calling, str, str]] = []
    for place, one in enumerate(asked):
        try:
            tools = one.tools if one.choice != "none" else ()
            text = render_tools(tokenizer, one.messages, tools, open_reply=True, as_text=as_text)
        except ValueError as error:
            found[place] = Called(lost=f"its template refuses this conversation: {str(error)[:160]}")
            continue
        begun = (
            ""
            if one.choice in {"auto", "none"}
            else opened_call(syntax, "" if one.choice == "required" else one.choice)
        )
        text = closed_reasoning(text) if begun else text
        ids = encode_opening(tokenizer, text + begun, rendered=True)
        if len(ids) + one.limit > length:
            found[place] = Called(lost="the conversation does not fit into the model's context")
        else:
            running.append((place, one, text, begun))
    if running:
        writings = [
            Writing(
                key=one.key, opening=Opening(text=text + begun), until=(), limit=one.limit, temperature=one.temperature
            )
            for _, one, text, begun in running
        ]
        prompts = [Prompt(encode_opening(tokenizer, text + begun, rendered=True), 0) for _, _, text, begun in running]
        replies = write_replies(loaded, tokenizer, writings, prompts, seed, marks=True)
        for (place, one, text, begun), reply in zip(running, replies, strict=True):
            found[place] = _read(tokenizer, one, text, begun, reply, syntax)
    return [found[place] for place in range(len(asked))]


def _renderer(tokenizer: Any, *, as_text: bool) -> Render:
    return lambda turns: render_tools(tokenizer, turns, (), open_reply=False, as_text=as_text)


def _unmarked(tokenizer: Any, text: str) -> str:
    """A text without special tokens, which engines leave out."""
    for token in tokenizer.added_tokens_decoder.values():
        text = text.replace(token.content, "") if token.special else text
    return text


def _read(tokenizer: Any, one: Calling, prompt: str, begun: str, reply: Written, syntax: CallSyntax) -> Called:
    if reply.lost:
        return Called(lost=reply.lost)
    reasoning, rest = inline_reasoning(reply.text, prompt) if not begun else ("", begun + reply.text)
    text, calls = read_calls(_unmarked(tokenizer, rest) if syntax.weak else rest, syntax, one.tools)
    text = _unmarked(tokenizer, text)
    cut = reply.finish == "length"
    return Called(
        text=text.strip(), reasoning=reasoning, field="inline" if reasoning else "", calls=calls, source="text",
        finish="length" if cut else "tool_calls" if calls else "stop", tokens=reply.tokens,
    )  # fmt: skip
