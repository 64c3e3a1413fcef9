"""Trials of ``suites/integrity``: requests that show whether an endpoint does as it is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import JsonValue

from harness.prompts.conversation import Conversation
from harness.suites.load import shipped_folder


@dataclass(frozen=True, slots=True)
class Trial:
    """One request, sent ``repeat`` times; ``fields`` go beside its messages."""

    name: str
    conversation: Conversation
    fields: dict[str, JsonValue]
    repeat: int = 1
    stream: bool = False


def draw_trials(limit: int, *, thorough: bool) -> list[Trial]:
    """All trials, and two prompts per rung of the ladder (``context-TOKENS-NEEDLE``) that stays under ``limit`` tokens.

    ``thorough`` adds what costs more: a long reply, and prompts of more than a thousand tokens.
    """
    raw: Any = yaml.safe_load((shipped_folder() / "integrity" / "trials.yaml").read_text(encoding="utf-8"))
    found = [
        Trial(name, _asking(raw["questions"][one["ask"]]), dict(one["fields"]), one["repeat"], bool(one.get("stream")))
        for name, one in raw["trials"].items()
        if (thorough or not one.get("thorough")) and one["fields"]["max_tokens"] + _ROOM <= limit
    ]
    ladder = raw["ladder"]
    most = min(limit, 1 << 20 if thorough else ladder["thorough_from"])
    sentence, words = ladder["needles"]
    for tokens in (one for one in ladder["tokens"] if one <= most):
        filler = " ".join([ladder["filler"]] * max(tokens // _PER_SENTENCE, 1))
        for word in words:
            text = f"{sentence.format(word)}\n\n{filler}\n\n{ladder['ask']}"
            name = f"context-{tokens}-{word}"
            found.append(Trial(name, _asking(text), dict(ladder["fields"]), ladder["repeat"]))
    return found


_ROOM = 200  # tokens of a prompt that a long reply comes on top of
_PER_SENTENCE = 26  # tokens of the filler in common vocabularies; how long a prompt is exactly is measured, not assumed


def _asking(text: str) -> Conversation:
    return Conversation(messages=({"role": "user", "content": text},))
