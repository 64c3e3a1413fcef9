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
    """One way in which two tokenizers differ: ``what`` names it, the texts show both sides.

    ``needs_proof`` says that the rule may concern words that nobody can list: that no text showed it clears it of nothing.
    """

    what: str  # vocabulary, added tokens, merges, scores, normalizer, pre_tokenizer, decoder, model options, ...
    reference: str
    candidate: str
    needs_proof: bool = False


class DecodedDifference(Result):
    """Ids that both tokenizers turn into other texts."""

    ids: tuple[int, ...]
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
                needs_proof=_flags_matter(reference, candidate),
            )
        )
    rules: tuple[tuple[str, JsonValue, JsonValue], ...] = (
        ("merges", _merges(reference), _merges(candidate)),
        ("scores", _scores(reference), _scores(candidate)),
        ("normalizer", _steps(reference.get("normalizer")), _steps(candidate.get("normalizer"))),
        ("pre_tokenizer", _steps(reference.get("pre_tokenizer")), _steps(candidate.get("pre_tokenizer"))),
        ("decoder", _steps(reference.get("decoder")), _steps(candidate.get("decoder"))),
        ("model options", _options(reference), _options(candidate)),
        ("truncation", reference.get("truncation"), candidate.get("truncation")),
        ("padding", reference.get("padding"), candidate.get("padding")),
    )
    for what, mine, other in rules:
        if canonical_json(mine) != canonical_json(other):
            proof = _needs_proof(what, mine, other)
            found.append(
                TokenizerDifference(what=what, reference=_text(mine), candidate=_text(other), needs_proof=proof)
            )
    return found


#: Steps that treat all words alike: what they do shows on any text with such characters, and the golden strings hold them.
_WORD_BLIND = {
    "NFC", "NFD", "NFKC", "NFKD", "Prepend", "Metaspace", "ByteLevel", "Strip", "StripAccents", "Digits", "Whitespace",
    "WhitespaceSplit", "Punctuation", "BertNormalizer", "BertPreTokenizer", "Lowercase", "UnicodeScripts", "ByteFallback",
    "Fuse", "WordPiece", "BPEDecoder", "Nmt",
}  # fmt: skip
_LETTERS = re.compile(r"[^\W_]")


def _needs_proof(what: str, mine: JsonValue, other: JsonValue) -> bool:
    """Whether a rule may act on words that no probe holds.

    Truncation and padding are switched off by whoever tokenises prompts. Options of the model act on every word, and every word
    of the vocabulary was tried, but for dropout, which acts by chance.
    """
    if what in {"truncation", "padding"}:
        return False
    if what == "model options":
        sides = [side if isinstance(side, dict) else {} for side in (mine, other)]
        return sides[0].get("dropout") != sides[1].get("dropout")
    if what in {"merges", "scores"}:
        return True
    ours, theirs = ([canonical_json(step) for step in _listed_steps(side)] for side in (mine, other))
    apart = [s for s in _listed_steps(mine) if canonical_json(s) not in theirs]
    apart += [s for s in _listed_steps(other) if canonical_json(s) not in ours]
    return any(not _word_blind(step) for step in apart)


def _listed_steps(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []


def _word_blind(step: JsonValue) -> bool:
    if not isinstance(step, dict):
        return False
    if step.get("type") == "Replace":
        pattern = step.get("pattern")
        if not isinstance(pattern, dict) or set(pattern) != {"String"}:
            return False
        return not _LETTERS.search(str(pattern["String"]) + str(step.get("content")))
    return step.get("type") in _WORD_BLIND


def _steps(value: JsonValue) -> list[JsonValue]:
    """A rule as the list of its steps, without what changes no id: sequences in sequences, nulls, offsets."""
    if not isinstance(value, dict):
        return []
    inner = next((value[key] for key in ("normalizers", "pretokenizers", "decoders") if key in value), None)
    if isinstance(inner, list):
        return [step for part in inner for step in _steps(part)]
    return [{key: item for key, item in sorted(value.items()) if item is not None and key != "trim_offsets"}]


def _scores(tokenizer: dict[str, Any]) -> dict[str, JsonValue]:
    words = tokenizer["model"].get("vocab")
    return {str(pair[0]): pair[1] for pair in words} if isinstance(words, list) else {}


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


def _flags_matter(reference: dict[str, Any], candidate: dict[str, Any]) -> bool:
    """Whether flags of added tokens can do anything: ``normalized`` does nothing where neither side normalises."""
    if reference.get("normalizer") is None and candidate.get("normalizer") is None:
        sides = [
            {str(e["content"]): {**e, "normalized": None} for e in _listed(side)} for side in (reference, candidate)
        ]
        return sides[0] != sides[1]
    return True


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
