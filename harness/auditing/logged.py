"""Logged traffic as evidence: a file of requests and answers, one JSON object per line, read strictly.

Either ``{"request": {...}, "response": {...}}`` with the bodies as they went over the wire, or ``{"messages": [...],
"text": "...", "ids": [...], "finish_reason": "stop", "completion_tokens": 12, "max_tokens": 64, "logprobs": {...}}``. Ids,
counts, limit and log-probabilities (``content`` as in a response) may be missing. Lines are taken in the order of the file, all
of them: a selection by content is no evidence.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.errors import TargetNotFound, UsageError
from harness.identity import digest_bytes
from harness.prompts.conversation import Conversation
from harness.targets.endpoint.replies import Reply, reply_of
from harness.targets.endpoint.told import read_told
from harness.targets.endpoint.ways import UNTOLD
from harness.targets.sampler import Sampler

_MOST_BYTES = 1 << 30
_MOST_LINES = 100_000


#: Fields of a request that change nothing of what is sampled, and those that must have a value which does not.
_PLAIN = frozenset({
    "messages", "tools", "model", "stream", "stream_options", "max_tokens", "max_completion_tokens", "logprobs",
    "top_logprobs", "return_token_ids", "return_tokens_as_token_ids", "user", "metadata", "store", "chat_template_kwargs",
    "seed", "temperature", "top_p", "text", "ids", "finish_reason", "completion_tokens",
})  # fmt: skip
_NEUTRAL: dict[str, tuple[object, ...]] = {
    "top_k": (0, -1), "min_p": (0,), "repetition_penalty": (1,), "repeat_penalty": (1,), "presence_penalty": (0,),
    "frequency_penalty": (0,), "n": (1,), "stop": ([],), "logit_bias": ({},),
    "response_format": ({"type": "text"},), "tool_choice": ("auto",),
}  # fmt: skip
#: What a request must say before its host counts as told to add nothing of its own to sampling.
_TOLD = (("top_k",), ("min_p",), ("repetition_penalty", "repeat_penalty"))


def read_logged(path: Path, sampler: Sampler) -> tuple[list[tuple[Conversation, Reply]], str]:
    """Conversations with their replies, and the digest of the file.

    Raises UsageError with the line for what cannot be read, for requests that were sampled otherwise than ``sampler`` says or
    steered in another way, and for a conversation or a seed that came before: such replies share their chance.
    """
    if not path.is_file():
        raise TargetNotFound("there is no such file of replies", where=str(path))
    if path.stat().st_size > _MOST_BYTES:
        raise UsageError(
            "more than 1 GiB of replies", where=str(path), fix="judge a part of it, in the file's own order"
        )
    raw = path.read_bytes()
    lines = [line for line in raw.splitlines() if line.strip()]
    if not lines or len(lines) > _MOST_LINES:
        raise UsageError(f"{len(lines):,} replies; between 1 and {_MOST_LINES:,} are judged", where=str(path))
    found = []
    seen: set[str] = set()
    for number, line in enumerate(lines, 1):
        try:
            conversation, reply, seed = _read(json.loads(line), sampler)
            for mark in (conversation.model_dump_json(), f"seed {seed}" if seed is not None else ""):
                if mark and mark in seen:
                    raise ValueError("this conversation, or this seed, came before; such replies share their chance")
                seen.add(mark)
            found.append((conversation, reply))
        except (ValueError, RecursionError, ValidationError, TypeError) as error:
            raise UsageError(
                f"line {number} is no logged reply: {str(error).splitlines()[0][:200]}",
                where=str(path),
                fix='write {"request": {...}, "response": {...}} as they went over the wire, each question once',
            ) from error
    return found, digest_bytes(raw)


def _read(value: Any, sampler: Sampler) -> tuple[Conversation, Reply, object]:
    if not isinstance(value, dict):
        raise TypeError("not an object")
    wired = isinstance(value.get("request"), dict)
    request = value["request"] if wired else value
    if wired:
        if not isinstance(value.get("response"), dict):
            raise ValueError("a request without a response")
        reply = reply_of(value["response"])
    else:
        ids = value.get("ids")
        reply = Reply(
            text=value["text"] if isinstance(value.get("text"), str) else _missing("text"),
            ids=tuple(ids) if isinstance(ids, list) else None,
            finish=str(value.get("finish_reason") or ""),
            billed=value.get("completion_tokens"),
            told=read_told(value),
        )
    messages, tools, options = (request.get(name) for name in ("messages", "tools", "chat_template_kwargs"))
    if not isinstance(messages, list) or not messages:
        raise ValueError("no messages")
    _sampled(request, sampler)
    told = all(any(name in request for name in names) for names in _TOLD)
    conversation = Conversation(
        messages=tuple(messages),
        tools=tuple(tools) if isinstance(tools, list) else None,
        options=options if isinstance(options, dict) else {},
    )
    way = 0 if told else UNTOLD
    return conversation, reply.model_copy(update={"asked": _limit(request, reply), "way": way}), request.get("seed")


def _limit(request: dict[str, Any], reply: Reply) -> int | None:
    """Tokens that were asked for at most; where the request does not say, what came, or more for a reply that stopped."""
    limit = request.get("max_tokens", request.get("max_completion_tokens"))
    if type(limit) is int:
        return limit
    came = max(len(reply.ids or ()), reply.billed or 0)
    return came or None if reply.finish == "length" else came + len(reply.text) + 1


def _missing(name: str) -> str:
    raise ValueError(f"no {name}")


def _sampled(request: dict[str, Any], sampler: Sampler) -> None:
    """Raise for a request that asked for another sampler, or steered the reply; what it does not say is the default."""
    claimed = sampler.fields()
    for name, value in claimed.items():
        asked = request.get(name, 1.0 if name in {"temperature", "top_p"} else None)
        if asked != value:
            raise ValueError(
                f"asked for {name} {asked}, and not {value}: pass --sampler, or leave such requests out of the log"
            )
    for name, value in request.items():
        if name in _PLAIN or name in claimed or value is None or value in _NEUTRAL.get(name, ()):
            continue
        raise ValueError(f"{name} steers what is written; such a reply cannot be held against the model alone")
