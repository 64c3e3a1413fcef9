"""The cases of the template suite: conversations with what each is for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import JsonValue

from harness.prompts.conversation import Conversation
from harness.suites.load import shipped_folder
from harness.suites.model import Frozen

_LONGEST = 1 << 20


class Case(Frozen):
    """One case: some conversations that belong together, the faults they reveal, the features they need."""

    id: str
    title: str
    reveals: tuple[str, ...]
    needs: tuple[str, ...] = ()
    conversations: tuple[Conversation, ...]


def load_cases(path: Path | None = None, own_control: str = "") -> list[Case]:
    """The cases of ``suites/template``, or of another file of that form.

    ``own_control`` is a control word of the family under test, put where a case asks for it.
    """
    path = path or shipped_folder() / "template" / "cases.yaml"
    raw: Any = yaml.safe_load(path.read_text(encoding="utf-8")[:_LONGEST])
    cases = []
    for entry in raw["cases"]:
        conversations = [_conversation(c, int(entry.get("repeat", 1)), own_control) for c in entry["conversations"]]
        kept = {key: entry[key] for key in ("id", "title", "reveals", "needs") if key in entry}
        cases.append(Case.model_validate(kept | {"conversations": conversations}))
    return cases


def _conversation(raw: dict[str, Any], repeat: int, own_control: str) -> dict[str, JsonValue]:
    messages: list[dict[str, Any]] = []
    for n in range(1, repeat + 1):
        for message in raw["messages"]:
            content = message.get("content")
            if isinstance(content, str):
                content = content.replace("{n}", str(n)).replace("{own}", own_control or "<|end|>")
            messages.append({**message, "content": content} if "content" in message else dict(message))
    if "last" in raw:
        messages.append(raw["last"])
    kept = {key: value for key, value in raw.items() if key not in {"messages", "last"}}
    return {**kept, "messages": messages}  # type: ignore[dict-item]
