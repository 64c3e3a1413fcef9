"""Texts on which a difference between two tokenizers' rules would show, made of what the rules themselves name. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_MOST = 1500
_MOST_WORDS = 120  # that one rule may name
_LETTERS = re.compile(r"[^\W_]{2,}")
#: What stands for something else inside a regular expression.
_ESCAPES = re.compile(
    r"\\[pP]\{[^}]*\}|\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}|\\.|\(\?[a-zA-Z:=!<]+|\[\^?[^\]]*\]|\{\d+(,\d*)?\}"
)


def tokenizer_probes(reference: dict[str, Any], candidate: dict[str, Any], *, rules_only: bool = False) -> list[str]:
    """Texts for two ``tokenizer.json`` files: words that their rules replace, split at or keep whole, in every company.

    With ``rules_only`` no added tokens and no merges, and of the rules only what names words.
    """
    found: dict[str, None] = {}
    words = _words(reference, candidate)
    if rules_only:
        words = (word for word in {**_literals(candidate), **_literals(reference)} if _LETTERS.search(word))
    for word in words:
        for text in _around(word):
            found.setdefault(text)
            if len(found) >= _MOST:
                return list(found)
    return list(found)


def _words(reference: dict[str, Any], candidate: dict[str, Any]) -> Iterator[str]:
    a, b = _literals(reference), _literals(candidate)
    yield from (word for word in [*b, *a] if (word in a) != (word in b))
    yield from (word for word in b if word in a)
    ours, theirs = (_flags(side) for side in (reference, candidate))
    yield from [word for word in [*theirs, *ours] if ours.get(word) != theirs.get(word)][:_MOST_WORDS]
    yield from list(_moved(reference, candidate))[:_MOST_WORDS]
    yield from list(theirs)[:16]


def _around(word: str) -> Iterator[str]:
    yield word
    yield f"We said {word} to them."
    yield f"({word})"
    yield f"un{word}ed and {word}{word}"
    yield f"  {word}  \n{word}\n"
    yield word.upper()
    yield word.capitalize()


def _literals(tokenizer: dict[str, Any]) -> dict[str, None]:
    """Texts that normalizer, pre-tokenizer, decoder and post-processor name."""
    found: dict[str, None] = {}
    for part in ("normalizer", "pre_tokenizer", "decoder", "post_processor"):
        for text in _texts(tokenizer.get(part)):
            found.setdefault(text)
    return dict.fromkeys(list(found)[:_MOST_WORDS])


def _texts(value: Any, key: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            if name not in {"type", "behavior", "prepend_scheme", "precompiled_charsmap"}:
                yield from _texts(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, key)
    elif isinstance(value, str) and value:
        if key == "Regex":
            yield from _LETTERS.findall(_ESCAPES.sub(" ", value))
            yield from (text for text in re.split(r"[|()?*+^$]+", _ESCAPES.sub(" ", value)) if text.strip())
        else:
            yield value


def _flags(tokenizer: dict[str, Any]) -> dict[str, str]:
    entries = tokenizer.get("added_tokens") or ()
    return {str(entry.get("content")): repr(sorted(entry.items())) for entry in entries if isinstance(entry, dict)}


def _moved(reference: dict[str, Any], candidate: dict[str, Any]) -> Iterator[str]:
    """What merges make that only one side has, or that another merge stands before."""
    sides = []
    for tokenizer in (reference, candidate):
        merges = tokenizer["model"].get("merges") or []
        sides.append([merge if isinstance(merge, list) else str(merge).split(" ", 1) for merge in merges])
    first = next((k for k, (a, b) in enumerate(zip(*sides, strict=False)) if a != b), min(map(len, sides)))
    ours, theirs = ({tuple(merge) for merge in side} for side in sides)
    differing = [*sorted(ours ^ theirs)[: _MOST_WORDS // 2], *map(tuple, sides[1][first : first + _MOST_WORDS // 2])]
    for merge in differing:
        yield "".join(merge).replace("Ġ", " ").replace("▁", " ").strip()
