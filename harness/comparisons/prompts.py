"""Do both sides turn the same words into the same ids? A first cut on the suite's own items."""

from __future__ import annotations

from harness.comparisons.model import Result
from harness.targets.base import Encoded


class PromptDifference(Result):
    """The first place where an item becomes other ids, as text on both sides where both rendered text."""

    item: str
    kind: str  # "text" for plain documents, "chat" for conversations
    position: int
    reference_ids: tuple[int, ...]
    candidate_ids: tuple[int, ...]
    reference_text: str
    candidate_text: str


class PromptReading(Result):
    """How many items of each kind were encoded by both sides, and those that differ."""

    texts: int
    chats: int
    differing: tuple[PromptDifference, ...]
    problem: str = ""  # why the candidate could not encode them at all


def compare_prompts(
    reference: dict[str, Encoded], candidate: dict[str, Encoded], chats: frozenset[str]
) -> PromptReading:
    """Compare id by id; both mappings hold the same items."""
    found = []
    for item, ours in reference.items():
        theirs = candidate[item]
        if ours.ids == theirs.ids:
            continue
        at = next(
            (i for i, (a, b) in enumerate(zip(ours.ids, theirs.ids, strict=False)) if a != b),
            min(len(ours.ids), len(theirs.ids)),
        )
        cut = _common(ours.text, theirs.text)
        found.append(
            PromptDifference(
                item=item,
                kind="chat" if item in chats else "text",
                position=at,
                reference_ids=ours.ids[max(at - 3, 0) : at + 6],
                candidate_ids=theirs.ids[max(at - 3, 0) : at + 6],
                reference_text=ours.text[max(cut - 40, 0) : cut + 60],
                candidate_text=theirs.text[max(cut - 40, 0) : cut + 60],
            )
        )
    return PromptReading(texts=len(reference) - len(chats), chats=len(chats), differing=tuple(found))


def _common(a: str, b: str) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
