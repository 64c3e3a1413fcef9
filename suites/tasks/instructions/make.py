"""Requests with constraints that a program can check: length, form, words, letters, language."""

from __future__ import annotations

import json
import random
from typing import Any

_TOPICS = [
    "the sea at night", "a walk in the rain", "how bread is made", "why cats sleep so much", "the first day of school",
    "a train journey", "the colour green", "an old clock", "what makes a good friend", "the smell of coffee",
    "a garden in spring", "the sound of a drum", "cleaning a kitchen", "a lost key", "the moon",
]  # fmt: skip
_WORDS = ["window", "silver", "tomorrow", "bridge", "honey", "paper", "thunder", "north"]
_LANGUAGES = ["German", "French", "Spanish", "Italian", "Russian"]
_EACH = 5


def rows(rng: random.Random) -> dict[str, list[dict[str, Any]]]:
    """60 items: five of each of twelve kinds."""
    found = []
    for kind, make in _KINDS.items():
        for number, topic in enumerate(rng.sample(_TOPICS, _EACH)):
            request, constraints = make(topic, rng)
            found.append(
                {
                    "id": f"instructions-{kind}-{number}",
                    "kind": kind,
                    "request": request,
                    "constraints": json.dumps([{"kind": k, "value": v} for k, v in constraints], ensure_ascii=False),
                }
            )
    rng.shuffle(found)
    return {"items": found}


Made = tuple[str, list[tuple[str, Any]]]


def _short(topic: str, rng: random.Random) -> Made:
    most = rng.choice([12, 15, 20])
    return f"Write about {topic} in at most {most} words.", [("max_words", most), ("min_words", 3)]


def _bullets(topic: str, rng: random.Random) -> Made:
    count = rng.choice([2, 3, 4])
    return (
        f"Write exactly {count} bullet points about {topic}. Begin each with '- ' and write nothing else.",
        [("bullets", count)],
    )


def _sentence(topic: str, rng: random.Random) -> Made:
    return f"Write exactly one sentence about {topic}.", [("sentences", 1)]


def _word(topic: str, rng: random.Random) -> Made:
    word = rng.choice(_WORDS)
    return f"Write one sentence about {topic} that contains the word '{word}'.", [("contains", word)]


def _avoid(topic: str, rng: random.Random) -> Made:
    return f"Write one sentence about {topic} without the word 'the'.", [("avoids", "the"), ("min_words", 3)]


def _start(topic: str, rng: random.Random) -> Made:
    word = rng.choice(["Perhaps", "Yesterday", "Nobody", "Sometimes"])
    return f"Write one sentence about {topic}. The first word must be '{word}'.", [("starts", word)]


def _end(topic: str, rng: random.Random) -> Made:
    return f"Write one question about {topic}. It must end with a question mark.", [("ends", "?")]


def _commas(topic: str, rng: random.Random) -> Made:
    return f"Write one sentence about {topic} without any commas.", [("no_commas", True), ("min_words", 3)]


def _upper(topic: str, rng: random.Random) -> Made:
    return f"Write one short sentence about {topic} in capital letters only.", [("upper", True)]


def _lower(topic: str, rng: random.Random) -> Made:
    return f"Write one short sentence about {topic} in small letters only, without capitals.", [("lower", True)]


def _quoted(topic: str, rng: random.Random) -> Made:
    return (
        f"Write one short sentence about {topic} between double quotation marks, and nothing else.",
        [("quoted", True), ("one_line", True)],
    )


def _language(topic: str, rng: random.Random) -> Made:
    language = rng.choice(_LANGUAGES)
    return f"Write two sentences about {topic} in {language}.", [("language", language)]


_KINDS = {
    "short": _short, "bullets": _bullets, "sentence": _sentence, "word": _word, "avoid": _avoid, "start": _start,
    "end": _end, "commas": _commas, "upper": _upper, "lower": _lower, "quoted": _quoted, "language": _language,
}  # fmt: skip
