"""JSON Schemas of the cards that we write, with their version in the name and in the address."""

from __future__ import annotations

from typing import Any

from harness.comparisons.model import Result
from harness.reports.audit_card import AUDIT_CARD_VERSION, AuditCard
from harness.reports.scorecard import SCORECARD_VERSION, Scorecard
from harness.reports.task_card import TASK_CARD_VERSION, TaskCard

_CARDS: dict[str, tuple[type[Result], int]] = {
    "scorecard": (Scorecard, SCORECARD_VERSION),
    "audit": (AuditCard, AUDIT_CARD_VERSION),
    "tasks": (TaskCard, TASK_CARD_VERSION),
}
_WORDS = ["NaN", "Infinity", "-Infinity"]


def schemas() -> dict[str, dict[str, Any]]:
    """Draft 2020-12, by file name: ``scorecard.v1.schema.json``."""
    found = {}
    for name, (card, version) in _CARDS.items():
        file = f"{name}.v{version}.schema.json"
        made = _with_words(card.model_json_schema(mode="serialization"))
        found[file] = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"urn:fidelity-harness:{file}",
            **made,
        }
    return found


def _with_words(schema: Any) -> Any:
    """Numbers that are none are written as words, and never as null."""
    if isinstance(schema, dict):
        if schema.get("type") == "number":
            rest = {key: value for key, value in schema.items() if key != "type"}
            return {**rest, "anyOf": [{"type": "number"}, {"enum": _WORDS}]}
        return {key: _with_words(value) for key, value in schema.items()}
    return [_with_words(value) for value in schema] if isinstance(schema, list) else schema
