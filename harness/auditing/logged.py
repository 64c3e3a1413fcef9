"""Logged traffic as evidence: a file of requests and answers, one JSON object per line, read strictly.

Either ``{"request": {...}, "response": {...}}`` with the bodies as they went over the wire (other shapes of loggers: see
``log_lines``), or ``{"messages": [...], "text": "...", "ids": [...], "finish_reason": "stop", "completion_tokens": 12,
"max_tokens": 64, "logprobs": {...}}``, with ``reasoning_content`` where a model thinks. Ids, counts, limit and
log-probabilities (``content`` as in a response) may be missing.
Lines are taken in the order of the file, all of them: a selection by content is no evidence. What came before is dropped and
counted, because it shares its chance with what is kept.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.auditing.log_lines import FLAT, read_line
from harness.auditing.steering import limit_of, told_neutral, unsteered
from harness.errors import TargetNotFound, UsageError
from harness.identity import digest_bytes
from harness.prompts.conversation import Conversation
from harness.prompts.parts import in_one_text
from harness.redact import safe_line
from harness.targets.endpoint.replies import Reply
from harness.targets.endpoint.ways import UNTOLD
from harness.targets.sampler import Sampler

_MOST_BYTES = 1 << 30
_MOST_LINES = 100_000
_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Logged:
    """Conversations with their replies in the order of the file; contents in parts are left in parts.

    ``repeats`` counts lines that were dropped because their conversation came before, ``seeds`` those that came with the seed
    of an earlier line: the same chance decides both replies.
    """

    found: tuple[tuple[Conversation, Reply], ...]
    digest: str  # of the file
    repeats: int = 0
    seeds: int = 0

    @property
    def dropped(self) -> str:
        """What was dropped and why, in words; empty where nothing was."""
        kinds = ((self.repeats, "conversation"), (self.seeds, "seed"))
        parts = [f"{count:,} whose {kind} came before" for count, kind in kinds if count]
        told = f"{self.repeats + self.seeds:,} of {len(self.found) + self.repeats + self.seeds:,} lines are left out: "
        return told + ", ".join(parts) if parts else ""


def read_logged(path: Path, sampler: Sampler) -> Logged:
    """Read a log.

    Raises UsageError with the line for what cannot be read, and for requests that were sampled otherwise than ``sampler`` says
    or steered in another way.
    """
    if not path.is_file():
        raise TargetNotFound("there is no such file of replies", where=str(path))
    if path.stat().st_size > _MOST_BYTES:
        raise UsageError(
            "more than 1 GiB of replies", where=str(path), fix="judge a part of it, in the file's own order"
        )
    raw = path.read_bytes()
    lines = [line for line in raw.removeprefix(_MARK).splitlines() if line.strip()]
    if not lines or len(lines) > _MOST_LINES:
        raise UsageError(f"{len(lines):,} replies; between 1 and {_MOST_LINES:,} are judged", where=str(path))
    found, repeats, seeds = [], 0, 0
    seen: set[str] = set()
    for number, line in enumerate(lines, 1):
        try:
            conversation, reply, seed = _read(json.loads(line), sampler)
            asked = in_one_text(conversation).model_dump_json()
        except (ValueError, RecursionError, ValidationError, TypeError) as error:
            raise UsageError(
                f"line {number} is no logged reply: {safe_line(str(error).splitlines()[0])}",
                where=str(path),
                fix='write {"request": {...}, "response": {...}} as they went over the wire, one exchange per line',
            ) from error
        if asked in seen:
            repeats += 1
        elif f"seed {seed}" in seen:
            seeds += 1
        else:
            seen |= {asked} | ({f"seed {seed}"} if seed is not None else set())
            found.append((conversation, reply))
    return Logged(tuple(found), digest_bytes(raw), repeats, seeds)


def _read(value: Any, sampler: Sampler) -> tuple[Conversation, Reply, object]:
    request, reply, wired = read_line(value)
    messages, tools, options = (request.get(name) for name in ("messages", "tools", "chat_template_kwargs"))
    if not isinstance(messages, list) or not messages:
        raise ValueError("no messages")
    unsteered(request, sampler, frozenset() if wired else FLAT)
    conversation = Conversation(
        messages=tuple(messages),
        tools=tuple(tools) if isinstance(tools, list) and tools else None,
        options=options if isinstance(options, dict) else {},
    )
    known: dict[str, object] = {"asked": _limit(request, reply), "way": 0 if told_neutral(request) else UNTOLD}
    wanted = request.get("model") if wired else None
    if isinstance(wanted, str):
        known["wanted"] = safe_line(wanted, 120)
    return conversation, Reply.model_validate(reply.model_dump() | known), request.get("seed")


def _limit(request: dict[str, Any], reply: Reply) -> int | None:
    """Tokens that were asked for at most; where the request does not say, what came, or more for a reply that stopped."""
    limit = limit_of(request)
    if limit is not None:
        return limit
    came = max(len(reply.ids or ()), reply.billed or 0)
    return came or None if reply.finish == "length" else came + len(reply.text) + 1
