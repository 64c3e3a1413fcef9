"""Logged traffic as evidence: a file of requests and answers, one JSON object per line, read strictly.

Either ``{"request": {...}, "response": {...}}`` with the bodies as they went over the wire, or ``{"messages": [...],
"text": "...", "ids": [...], "finish_reason": "stop", "completion_tokens": 12, "max_tokens": 64}``; ids, counts and limit may be
missing. Lines are taken in the order of the file, all of them: a selection by content is no evidence.
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
from harness.targets.sampler import Sampler

_MOST_BYTES = 1 << 30
_MOST_LINES = 100_000


def read_logged(path: Path, sampler: Sampler) -> tuple[list[tuple[Conversation, Reply]], str]:
    """Conversations with their replies, and the digest of the file.

    Raises UsageError with the line for what cannot be read, and for requests that were sampled otherwise than ``sampler`` says.
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
    for number, line in enumerate(lines, 1):
        try:
            found.append(_read(json.loads(line), sampler))
        except (ValueError, RecursionError, ValidationError, TypeError) as error:
            raise UsageError(
                f"line {number} is no logged reply: {str(error).splitlines()[0][:200]}",
                where=str(path),
                fix='write {"request": {...}, "response": {...}} as they went over the wire',
            ) from error
    return found, digest_bytes(raw)


def _read(value: Any, sampler: Sampler) -> tuple[Conversation, Reply]:
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
        )
    _sampled(request, sampler)
    limit = request.get("max_tokens", request.get("max_completion_tokens"))
    if type(limit) is not int and reply.finish == "length":
        limit = len(reply.ids) if reply.ids is not None else None
    messages = request.get("messages")
    if not isinstance(messages, list) or not messages:
        raise ValueError("no messages")
    tools = request.get("tools")
    conversation = Conversation(messages=tuple(messages), tools=tuple(tools) if isinstance(tools, list) else None)
    return conversation, reply.model_copy(update={"asked": limit if type(limit) is int else None})


def _missing(name: str) -> str:
    raise ValueError(f"no {name}")


def _sampled(request: dict[str, Any], sampler: Sampler) -> None:
    """Raise for a request that asked for another sampler; what it does not say is the protocol's default."""
    for name, value in sampler.fields().items():
        asked = request.get(name, 1.0 if name in {"temperature", "top_p"} else None)
        if asked != value:
            raise ValueError(
                f"asked for {name} {asked}, and not {value}: pass --sampler, or leave such requests out of the log"
            )
