"""Two tokenizers on disk, by what they do: golden strings, texts made of their own rules, and the way back to text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.comparisons.templates import GoldenDifference
from harness.comparisons.tokenizers import DecodedDifference, TokenizerDifference, compare_tokenizers
from harness.errors import FidelityError
from harness.prompts.golden import GOLDEN
from harness.prompts.jinja.process import PromptProcess
from harness.prompts.tokenizer_probes import tokenizer_probes
from harness.targets.checkpoint.target import Workers
from harness.targets.prompt_source import PromptSource, as_transformers_reads

_WORDS = 4000  # of the vocabulary, evenly chosen, that are tried where rules differ
_KEPT = 40
#: Rules that transformers writes in another form when it saves a tokenizer again.
_FORMS = {"normalizer", "pre_tokenizer", "decoder", "model options", "truncation", "padding"}


@dataclass(slots=True)
class TokenizerEffects:
    """Rules that differ, texts that become other ids, and ids that become other texts."""

    rules: list[TokenizerDifference] = field(default_factory=list)
    golden: list[GoldenDifference] = field(default_factory=list)
    decoded: list[DecodedDifference] = field(default_factory=list)
    settled: str = ""  # a text that only programs without transformers' own rules turn into other ids

    @property
    def of_form(self) -> bool:
        """Whether ids differ by rules alone that treat all words alike: another form of the same file may do that."""
        kinds = {rule.what for rule in self.rules}
        return bool(self.golden) and kinds <= _FORMS and not any(rule.needs_proof for rule in self.rules)


def compare_by_effect(process: PromptProcess, ours: PromptSource, theirs: PromptSource) -> TokenizerEffects:
    """What differs between two sides' tokenizers; nothing where one has none or both have the same file.

    Where rules differ, more is tried: words that the rules name, in every company, and the words of the vocabulary. Files of
    the same kind are also held to what they put around plain documents.
    """
    if ours.tokenizer is None or theirs.tokenizer is None or ours.tokenizer_digest == theirs.tokenizer_digest:
        return TokenizerEffects()
    mine, other = (_read(path) for path in (ours.tokenizer, theirs.tokenizer))
    rules = compare_tokenizers(mine, other)
    texts = list(GOLDEN)
    alike = ours.kind == theirs.kind
    if not alike:  # a conversion loses flags of added tokens, and its program has rules of its own for them
        texts += [text for text in tokenizer_probes(mine, other, rules_only=True) if text not in GOLDEN]
    elif any(rule.what not in {"truncation", "padding"} for rule in rules):
        texts += [text for text in tokenizer_probes(mine, other) if text not in GOLDEN]
        texts += _words(process, ours.tokenizer, mine)
    golden = _encoded(process, ours.tokenizer, theirs.tokenizer, texts, special=False)
    if alike and not golden:
        golden = _encoded(process, ours.tokenizer, theirs.tokenizer, [*GOLDEN[:4], ""], special=True)
    known = {"vocabulary", "added tokens", "decoder"} & {rule.what for rule in rules}
    decoded = (
        _decoded(process, ours.tokenizer, theirs.tokenizer, texts[:_WORDS]) if known and alike and not golden else []
    )
    return TokenizerEffects(rules, golden[:_KEPT], decoded[:_KEPT])


def read_again(
    process: PromptProcess,
    ours: PromptSource,
    theirs: PromptSource,
    first: TokenizerEffects,
    cache: Path,
    workers: Workers | None,
) -> tuple[PromptSource, PromptSource, TokenizerEffects]:
    """Both sides as transformers reads their folders, if they then do the same; else everything as it was.

    That is how vLLM and SGLang tokenise. What only programs see that follow tokenizer.json to the letter is told.
    """
    try:
        sides = [as_transformers_reads(side, cache, workers) for side in (ours, theirs)]
    except FidelityError:  # what the library cannot load stays judged by its file
        return ours, theirs, first
    found = compare_by_effect(process, sides[0], sides[1])
    if sides[0].tokenizer is None or found.golden or found.decoded:
        return ours, theirs, first
    found.settled = first.golden[0].text
    return sides[0], sides[1], found


def _encoded(
    process: PromptProcess, ours: Path, theirs: Path, texts: Sequence[str], *, special: bool
) -> list[GoldenDifference]:
    pieces = [[(text, False)] for text in texts]
    sides = [process.encode(path, pieces, special=special) for path in (ours, theirs)]
    return [
        GoldenDifference(text=text, reference=a or (), candidate=b or ())
        for text, a, b in zip(texts, *sides, strict=True)
        if a != b
    ]


def _decoded(process: PromptProcess, ours: Path, theirs: Path, texts: Sequence[str]) -> list[DecodedDifference]:
    lists = [ids for ids in process.encode(ours, [[(text, False)] for text in texts]) if ids]
    sides = [process.decode(path, lists) for path in (ours, theirs)]
    return [
        DecodedDifference(ids=ids[:24], reference=(a or ("",))[0][:200], candidate=(b or ("",))[0][:200])
        for ids, a, b in zip(lists, *sides, strict=True)
        if (a or ("",))[0] != (b or ("",))[0]
    ]


def _words(process: PromptProcess, path: Path, tokenizer: dict[str, Any]) -> list[str]:
    """Words of a vocabulary as texts."""
    size = len(tokenizer["model"].get("vocab") or ())
    step = max(size // _WORDS, 1)
    texts = process.decode(path, [[number] for number in range(0, size, step)])
    return list(dict.fromkeys(text[0] for text in texts if text and text[0] and "\ufffd" not in text[0]))


def _read(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value
