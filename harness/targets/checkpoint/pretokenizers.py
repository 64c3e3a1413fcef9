"""How GGUF files name the way in which a text is cut before it is tokenised, and what transformers makes of it.

A GGUF file holds a vocabulary, merges and the *name* of a pre-tokenizer. transformers' converters know the model's
architecture and not that name, and so cut some texts otherwise than every engine does. The rules behind the names are
facts of the published tokenizers (and of llama.cpp's ``llama-vocab.cpp``, which follows them).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.targets.gguf_file import first_part, read_gguf

_ENDINGS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_LLAMA3 = _ENDINGS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_QWEN2 = _ENDINGS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_QWEN35 = _ENDINGS + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_CASED = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+ENDING"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*ENDING"
    r"|DIGITS| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_TEKKEN = _CASED.replace("ENDING", "").replace("DIGITS", r"\p{N}")
_GPT4O = _CASED.replace("ENDING", _ENDINGS + "?").replace("DIGITS", r"\p{N}{1,3}")
_DEEPSEEK3 = (
    r"\p{N}{1,3}",
    "[一-龥\u3040-ゟ゠-ヿ]+",
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+",
)
_DEEPSEEK_CODER = (r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-\ud7ff]+", r"\p{N}")
_FALCON = (r"[\p{P}\$\+<=>\^~\|`]+", _GPT2, r"[0-9][0-9][0-9]")


@dataclass(frozen=True, slots=True)
class Rule:
    """Regular expressions that cut a text one after the other, and whether whole words in the vocabulary skip merges."""

    cuts: tuple[str, ...]
    ignore_merges: bool = False


def _named(names: str, rule: Rule) -> dict[str, Rule]:
    return dict.fromkeys(names.split(), rule)


RULES: dict[str, Rule] = (
    _named(
        "gpt-2 phi-2 jina-es jina-de jina-v2-es jina-v2-de gigachat mpt olmo jais trillion granite-docling exaone4 "
        "modern-bert mellum a.x-4.0",
        Rule((_GPT2,)),
    )
    | _named("smollm starcoder refact command-r codeshell exaone minerva-7b", Rule((r"\p{N}", _GPT2)))
    | _named(
        "llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 glm4", Rule((_LLAMA3,), ignore_merges=True)
    )
    | _named("dbrx smaug-bpe chatglm-bpe", Rule((_LLAMA3,)))
    | _named("qwen2 deepseek-r1-qwen megrez stablelm2 hunyuan grok-2 kormo", Rule((_QWEN2,)))
    | _named("qwen35", Rule((_QWEN35,)))
    | _named("tekken", Rule((_TEKKEN,), ignore_merges=True))
    | _named("gpt-4o llama4 kanana2 minimax-m2", Rule((_GPT4O,)))
    | _named("deepseek-v3 hunyuan-dense", Rule(_DEEPSEEK3))
    | _named("deepseek-coder", Rule(_DEEPSEEK_CODER))
    | _named("falcon", Rule(_FALCON))
)


def mend(backend: Any, gguf: Path) -> bool:
    """Make a tokenizer that transformers converted cut texts as its GGUF file says; False for rules not known here.

    ``backend`` is a ``tokenizers.Tokenizer``, changed in place.
    """
    from tokenizers import Regex, normalizers, pre_tokenizers  # noqa: PLC0415

    kind, name, space = _stated(gguf, "model", "pre", "add_space_prefix")
    if kind == "llama":  # SentencePiece: blanks become a mark, and one is put in front unless the file says otherwise
        marks = [normalizers.Prepend("▁")] if space is not False else []
        backend.normalizer = normalizers.Sequence([*marks, normalizers.Replace(" ", "▁")])
        backend.pre_tokenizer = None
        return True
    rule = RULES.get(str(name)) if kind == "gpt2" else None
    if rule is None:
        return False
    cuts = [pre_tokenizers.Split(Regex(cut), "isolated") for cut in rule.cuts]
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [*cuts, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    backend.model.ignore_merges = rule.ignore_merges
    return True


def drop_library_words(tokenizer: Any, gguf: Path) -> None:
    """Take out words that are not in the file: transformers adds those that the tokenizer's class has by default."""
    from tokenizers import Tokenizer  # noqa: PLC0415

    (words,) = _stated(gguf, "tokens")
    data = json.loads(tokenizer.backend_tokenizer.to_str())
    foreign = [entry for entry in data["added_tokens"] if words is not None and entry["id"] >= len(words)]
    if not foreign:
        return
    data["added_tokens"] = [entry for entry in data["added_tokens"] if entry not in foreign]
    names = {entry["content"] for entry in foreign}
    for role, word in tokenizer.special_tokens_map.items():
        if isinstance(word, str) and word in names:
            setattr(tokenizer, role, None)
    tokenizer._tokenizer = Tokenizer.from_str(json.dumps(data))


def _stated(gguf: Path, *keys: str) -> list[Any]:
    """Fields of the file's tokenizer; None where it says nothing."""
    metadata = read_gguf(first_part(gguf)).metadata
    return [metadata.get(f"tokenizer.ggml.{key}") for key in keys]
