"""Two tokenizers by their files and by what they do: vocabulary, added tokens, rules, and golden strings."""

from __future__ import annotations

import re
from typing import Any

from pydantic import JsonValue

from harness.comparisons.model import Result
from harness.identity import canonical_json

_FLAGS = ("special", "lstrip", "rstrip", "normalized", "single_word")
_SHOWN = 5
#: What llama.cpp's converter puts where an embedding has more rows than the tokenizer has words.
_FILLER = re.compile(r"\[PAD\d+\]")


class TokenizerDifference(Result):
    """One way in which two tokenizers differ: ``what`` names it, the texts show both sides."""

    what: str  # vocabulary, added tokens, merges, normalizer, pre_tokenizer, model options
    reference: str
    candidate: str


def compare_tokenizers(reference: dict[str, Any], candidate: dict[str, Any]) -> list[TokenizerDifference]:
    """Compare the contents of two ``tokenizer.json`` files. Pure; an empty list means that they do the same."""
    found = []
    ours, theirs = _vocabulary(reference), _vocabulary(candidate)
    if ours != theirs:
        moved = sorted(word for word in ours.keys() | theirs.keys() if ours.get(word) != theirs.get(word))
        found.append(
            TokenizerDifference(
                what="vocabulary",
                reference=_shown({word: ours.get(word) for word in moved[:_SHOWN]}, len(ours)),
                candidate=_shown({word: theirs.get(word) for word in moved[:_SHOWN]}, len(theirs)),
            )
        )
    a, b = _added(reference), _added(candidate)
    if a != b:
        words = sorted(word for word in a.keys() | b.keys() if a.get(word) != b.get(word))[:_SHOWN]
        found.append(
            TokenizerDifference(
                what="added tokens",
                reference=_shown({word: a.get(word) for word in words}, len(a)),
                candidate=_shown({word: b.get(word) for word in words}, len(b)),
            )
        )
    rules: tuple[tuple[str, JsonValue, JsonValue], ...] = (
        ("merges", _merges(reference), _merges(candidate)),
        ("normalizer", reference.get("normalizer"), candidate.get("normalizer")),
        ("pre_tokenizer", reference.get("pre_tokenizer"), candidate.get("pre_tokenizer")),
        ("model options", _options(reference), _options(candidate)),
    )
    for what, mine, other in rules:
        if canonical_json(mine) != canonical_json(other):
            found.append(TokenizerDifference(what=what, reference=_text(mine), candidate=_text(other)))
    return found


def _vocabulary(tokenizer: dict[str, Any]) -> dict[str, int]:
    words = tokenizer["model"].get("vocab")
    if isinstance(words, list):  # unigram: pairs of word and score
        words = {str(pair[0]): k for k, pair in enumerate(words)}
    base = dict(words or {})
    added = {str(entry["content"]): int(entry["id"]) for entry in _listed(tokenizer)}
    return {word: number for word, number in (base | added).items() if not _FILLER.fullmatch(word)}


def _listed(tokenizer: dict[str, Any]) -> list[dict[str, Any]]:
    return [entry for entry in tokenizer.get("added_tokens") or () if not _FILLER.fullmatch(str(entry["content"]))]


def _added(tokenizer: dict[str, Any]) -> dict[str, str]:
    return {
        str(entry["content"]): f"{entry['id']} " + " ".join(flag for flag in _FLAGS if entry.get(flag))
        for entry in _listed(tokenizer)
    }


def _merges(tokenizer: dict[str, Any]) -> list[JsonValue]:
    merges = tokenizer["model"].get("merges") or []
    return [" ".join(merge) if isinstance(merge, list) else str(merge) for merge in merges]


def _options(tokenizer: dict[str, Any]) -> dict[str, JsonValue]:
    left_out = {"vocab", "merges", "type"}
    return {k: v for k, v in sorted(tokenizer["model"].items()) if k not in left_out and v not in (None, False, "")}


def _shown(part: dict[str, Any], size: int) -> str:
    return f"{size} in all; " + ", ".join(f"{word!r}: {value}" for word, value in part.items())


def _text(value: Any) -> str:
    text = f"{len(value)} entries" if isinstance(value, list) else canonical_json(value).decode()
    return text if len(text) <= 300 else text[:297] + "..."
