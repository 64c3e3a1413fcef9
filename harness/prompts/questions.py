"""Questions for a hosted endpoint: drawn without repetition, in an order that a nonce decides."""

from __future__ import annotations

import random
from typing import Any

import yaml

from harness.errors import UsageError
from harness.identity import digest_file
from harness.prompts.conversation import Conversation
from harness.suites.load import shipped_folder


def draw_questions(count: int, nonce: str) -> list[Conversation]:
    """``count`` one-turn conversations of ``suites/audit``; the same nonce draws the same. Raises UsageError beyond all."""
    path = shipped_folder() / "audit" / "questions.yaml"
    raw: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    pairs = [(form, topic) for form in raw["forms"] for topic in raw["topics"]]
    if count > len(pairs):
        raise UsageError(f"the suite holds {len(pairs)} questions, not {count}", fix=f"--requests {len(pairs)}")
    drawn = random.Random(nonce).sample(pairs, count)  # noqa: S311 - an order, not a secret
    texts = [form.replace("{}", topic) for form, topic in drawn]
    return [Conversation(messages=({"role": "user", "content": text[0].upper() + text[1:]},)) for text in texts]


def questions_digest() -> str:
    """SHA-256 of the questions' file."""
    return digest_file(shipped_folder() / "audit" / "questions.yaml")
