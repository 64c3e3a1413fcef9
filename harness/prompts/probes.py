"""Which conversations to ask when only the number of prompt tokens is seen: those that tell faults apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.prompts.conversation import Conversation

Counts = Sequence[int | None]
_NEARLY = 0.9  # of the best split; a shorter prompt is worth the rest


def can_be_sent(conversation: Conversation) -> bool:
    """Whether any chat endpoint takes it: a reply is asked for, and all contents are text."""
    parts = [content for m in conversation.messages if isinstance(content := m.get("content"), list)]
    texts = all(isinstance(part, dict) and part.get("type") == "text" for content in parts for part in content)
    return conversation.generation and not conversation.continue_final and texts


def choose_probes(
    sound: Counts, faulty: Mapping[str, Counts], limit: int, lengths: Sequence[int] | None = None
) -> tuple[int, ...]:
    """Indices of at most ``limit`` conversations, in the order in which they tell most.

    Greedy: each next one splits most of the pairs (of faults, or of a fault and none) that the earlier ones left
    together; with ``lengths``, the shortest of those that split nearly as many. Conversations that the reference does
    not render are of no use. It stops when nothing is left to split.
    """
    vectors = [list(sound), *(list(vector) for vector in faulty.values())]
    usable = [k for k, count in enumerate(sound) if count is not None]
    groups = [list(range(len(vectors)))]
    chosen: list[int] = []
    while len(chosen) < limit and usable:
        splits = {k: _splits(groups, vectors, k) for k in usable}
        most = max(splits.values())
        if not most:
            break
        best = min(
            (k for k, count in splits.items() if count >= (_NEARLY * most if lengths else most)),
            key=lambda k: (lengths[k] if lengths else 0, -splits[k]),
        )
        chosen.append(best)
        usable.remove(best)
        groups = [part for group in groups for part in _split(group, vectors, best)]
    return tuple(chosen)


def _split(group: list[int], vectors: list[list[int | None]], place: int) -> list[list[int]]:
    parts: dict[int | None, list[int]] = {}
    for member in group:
        parts.setdefault(vectors[member][place], []).append(member)
    return list(parts.values())


def _splits(groups: list[list[int]], vectors: list[list[int | None]], place: int) -> int:
    """How many pairs one more conversation would tell apart."""

    def pairs(size: int) -> int:
        return size * (size - 1) // 2

    return sum(pairs(len(g)) - sum(pairs(len(p)) for p in _split(g, vectors, place)) for g in groups if len(g) > 1)
