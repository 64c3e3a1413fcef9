"""Openings and continuations as ids, by lm-eval's rules for causal models; used in the isolated process only."""

from __future__ import annotations

from typing import Any

from harness.errors import NoChatTemplate
from harness.suites.requests import Continuation, Opening
from harness.targets.checkpoint.tokenization import render_chat

_USUAL = 2048  # tokens of context where neither configuration nor tokenizer say
_ABSURD = 10**9  # what tokenizers say that know no limit


def context_length(config: Any, tokenizer: Any) -> int:
    """Tokens that the model can see at once."""
    text = config.get_text_config()
    for name in ("n_positions", "max_position_embeddings", "n_ctx"):
        if getattr(text, name, None):
            return int(getattr(text, name))
    declared = int(getattr(tokenizer, "model_max_length", 0) or 0)
    return declared if 0 < declared < _ABSURD else _USUAL


def opening_text(tokenizer: Any, opening: Opening, where: str) -> str:
    """The text of an opening: itself, or the conversation as the checkpoint's own template renders it."""
    if opening.text is not None:
        return opening.text
    if not tokenizer.chat_template:
        raise NoChatTemplate(
            "this model ships no chat template, but the tasks are asked as conversations",
            where=where,
            fix="give --no-chat to ask every target by plain text",
        )
    return render_chat(tokenizer, opening.messages, open_reply=not opening.begun, begun=opening.begun, where=where)


def encode_opening(tokenizer: Any, text: str, *, rendered: bool) -> list[int]:
    """Ids of an opening; the tokenizer's own special tokens are put before plain text that does not begin with them."""
    special = not rendered and not (tokenizer.bos_token and text.startswith(tokenizer.bos_token))
    return [int(i) for i in tokenizer(text, add_special_tokens=special)["input_ids"]]


def first_id(tokenizer: Any) -> list[int]:
    """The id that stands before a text: the one that begins texts, or else the one that ends them; empty if there is neither."""
    found = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    return [] if found is None else [int(found)]


def encode_pair(tokenizer: Any, opening: str, continuation: str, *, rendered: bool) -> tuple[list[int], list[int]]:
    """Ids of an opening and of what goes on from it. Blanks at the opening's end belong to the continuation.

    Both together are encoded and cut at the length of the opening alone. After an empty opening stands the token that begins
    texts, or else the one that ends them.
    """
    if not opening:
        prefix = first_id(tokenizer)
        ids = [int(i) for i in tokenizer(continuation, add_special_tokens=False)["input_ids"]]
        return (ids[:1], ids[1:]) if ids[:1] == prefix else (prefix, ids)
    blanks = len(opening) - len(opening.rstrip())
    if blanks:
        opening, continuation = opening[:-blanks], opening[-blanks:] + continuation
    if not opening:
        return encode_pair(tokenizer, "", continuation, rendered=rendered)
    whole = encode_opening(tokenizer, opening + continuation, rendered=rendered)
    alone = encode_opening(tokenizer, opening, rendered=rendered)
    return alone, whole[len(alone) :]


def encode_continuation(tokenizer: Any, one: Continuation, where: str) -> tuple[list[int], list[int]]:
    """A request of a task as the ids of what stands before, and of what goes on."""
    text = opening_text(tokenizer, one.opening, where)
    return encode_pair(tokenizer, text, one.text, rendered=one.opening.text is None)


def rolling_windows(tokenizer: Any, text: str, length: int) -> list[tuple[list[int], list[int]]]:
    """A text as openings and continuations in which every token comes once, after as much text as fits into ``length``.

    The first window begins with the token that begins texts, or else the one that ends them.
    """
    ids = [int(i) for i in tokenizer(text, add_special_tokens=False)["input_ids"]]
    first = ids[:length]
    windows = [(first_id(tokenizer), first)] if first else []
    for start in range(len(first), len(ids), length):
        part = ids[start : start + length]
        before = ids[start + len(part) - length - 1 : start]
        windows.append((before, part))
    return windows
