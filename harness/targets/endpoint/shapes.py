"""Answers of the protocols that hosts speak, brought into the shape of a chat answer: here and nowhere else. Pure.

- OpenAI's legacy completions: ``choices[].text``, and ``logprobs`` as lists side by side;
- llama.cpp's own completions: ``content``, ``tokens``, ``completion_probabilities`` and ``stop_type`` at the top level.

What is a chat answer already comes back as it is. Works on whole answers and on single events of a stream alike.
"""

from __future__ import annotations

from typing import Any

#: llama.cpp's reasons for an end, as the chat protocol has them.
_ENDS = {"limit": "length", "eos": "stop", "word": "stop"}

Fields = dict[str, Any]


def chat_shaped(fields: Fields) -> Fields:
    """An answer with ``choices[].logprobs.content``, whatever protocol it came in."""
    choices = fields.get("choices")
    if isinstance(choices, list):
        first = choices[0] if choices and isinstance(choices[0], dict) else None
        logprobs = first.get("logprobs") if first else None
        if first is None or not isinstance(logprobs, dict) or "token_logprobs" not in logprobs:
            return fields
        return fields | {"choices": [first | {"logprobs": {"content": _legacy(logprobs)}}, *choices[1:]]}
    return _llamacpp(fields) if isinstance(fields.get("content"), str) and "stop" in fields else fields


def _legacy(logprobs: Fields) -> list[Fields]:
    """Lists side by side as one entry per token; lists that do not go together say nothing."""
    tokens, values, tops = (logprobs.get(name) for name in ("tokens", "token_logprobs", "top_logprobs"))
    if not isinstance(tokens, list) or not isinstance(values, list) or len(tokens) != len(values):
        return []
    listed = tops if isinstance(tops, list) and len(tops) == len(tokens) else [None] * len(tokens)
    return [
        {"token": token, "logprob": value, "top_logprobs": _listed(top)}
        for token, value, top in zip(tokens, values, listed, strict=True)
    ]


def _listed(top: Any) -> list[Fields]:
    return [{"token": name, "logprob": value} for name, value in top.items()] if isinstance(top, dict) else []


def _llamacpp(fields: Fields) -> Fields:
    """llama.cpp tells ids where ``return_tokens`` asks for them, and none in the last event of a stream."""
    choice: Fields = {"text": fields["content"]}
    end = fields.get("stop_type")
    if isinstance(end, str) and end in _ENDS:
        choice["finish_reason"] = _ENDS[end]
    if fields.get("tokens"):
        choice["token_ids"] = fields["tokens"]
    if isinstance(fields.get("completion_probabilities"), list):
        choice["logprobs"] = {"content": fields["completion_probabilities"]}
    asked, written = fields.get("tokens_evaluated"), fields.get("tokens_predicted")
    usage: Fields = {"prompt_tokens": asked, "completion_tokens": written}
    if type(asked) is int and type(written) is int:
        usage["total_tokens"] = asked + written
    return {"choices": [choice], "usage": usage, "model": fields.get("model")}
