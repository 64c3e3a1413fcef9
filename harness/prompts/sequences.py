"""Sequences: the frozen token ids that both sides are scored on, with the tokens that count.

A sequence is made once, by the reference's tokenizer, and then belongs to the plan. The unit of independence is its
``cluster`` (the document or conversation), never the token.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import JsonValue

from harness.suites.model import Message

SEGMENTS = ("text", "system", "user", "assistant", "tool", "markup", "response")


@dataclass(frozen=True, slots=True)
class Sequence:
    """Token ids and, per token, the segment it belongs to (an index into ``SEGMENTS``).

    ``first`` and ``end`` bound the scored predicting positions: position t predicts token t + 1; the last position of
    a sequence has a distribution but no label.
    """

    key: str
    domain: str
    cluster: str
    ids: tuple[int, ...]
    segments: tuple[int, ...]
    first: int
    end: int

    @property
    def scored(self) -> int:
        """Number of scored positions."""
        return self.end - self.first

    def to_json(self) -> JsonValue:
        """The form that is stored in the plan and hashed."""
        return {
            "key": self.key,
            "domain": self.domain,
            "cluster": self.cluster,
            "ids": list(self.ids),
            "segments": list(self.segments),
            "first": self.first,
            "end": self.end,
        }

    @classmethod
    def from_json(cls, raw: dict[str, JsonValue]) -> Sequence:
        """Read the stored form."""
        ids, segments = raw["ids"], raw["segments"]
        assert isinstance(ids, list)
        assert isinstance(segments, list)
        return cls(
            key=str(raw["key"]),
            domain=str(raw["domain"]),
            cluster=str(raw["cluster"]),
            ids=tuple(int(str(i)) for i in ids),
            segments=tuple(int(str(i)) for i in segments),
            first=int(str(raw["first"])),
            end=int(str(raw["end"])),
        )


def document_sequence(key: str, domain: str, cluster: str, ids: Iterable[int], skip: int) -> Sequence:
    """A plain text: every position from ``skip`` on is scored (earlier ones have too little context to mean much)."""
    ids = tuple(ids)
    first = min(skip, max(len(ids) - 2, 0))
    return Sequence(key, domain, cluster, ids, (0,) * len(ids), first, len(ids))


def chat_sequence(
    key: str, domain: str, cluster: str, ids: Iterable[int], segments: Iterable[int], skip: int
) -> Sequence:
    """A finished conversation, scored like a document, with a segment per token."""
    ids = tuple(ids)
    first = min(skip, max(len(ids) - 2, 0))
    return Sequence(key, domain, cluster, ids, tuple(segments), first, len(ids))


def reply_sequence(
    key: str,
    domain: str,
    cluster: str,
    prompt: Iterable[int],
    prompt_segments: Iterable[int],
    reply: Iterable[int],
) -> Sequence:
    """A prompt with the reference's own reply: only the reply is scored, from the position that predicts its start."""
    prompt, reply = tuple(prompt), tuple(reply)
    response = SEGMENTS.index("response")
    return Sequence(
        key,
        domain,
        cluster,
        prompt + reply,
        tuple(prompt_segments) + (response,) * len(reply),
        len(prompt) - 1,
        len(prompt) + len(reply) - 1,
    )


def label_segments(text: str, offsets: list[tuple[int, int]], messages: Iterable[Message]) -> list[int]:
    """Give every token of a rendered conversation the role whose content it lies in; everything else is markup.

    Contents are looked up in order, as they are or stripped; a template that rewrites a content leaves its tokens as
    markup, which is the truth: nobody said that text.
    """
    spans: list[tuple[int, int, int]] = []
    cursor = 0
    for message in messages:
        for content in (message.content, message.content.strip()):
            start = text.find(content, cursor) if content else -1
            if start >= 0:
                cursor = start + len(content)
                spans.append((start, cursor, SEGMENTS.index(message.role)))
                break
    markup = SEGMENTS.index("markup")
    labels: list[int] = []
    for begin, end in offsets:
        middle = (begin + end) / 2
        labels.append(next((code for lo, hi, code in spans if lo <= middle < hi), markup))
    return labels
