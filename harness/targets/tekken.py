"""``tekken.json``, the vocabulary of Mistral models, as the contents of a ``tokenizer.json``. Pure."""

from __future__ import annotations

import base64
import binascii
from typing import Any

_LONGEST = 256  # bytes of one token; real ones have at most 76
_MOST = 1 << 20  # tokens
_SPECIAL_IN_TEXTS = (
    "<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]", "[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]", "[IMG_END]", "[PREFIX]", "[MIDDLE]", "[SUFFIX]",
    "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CONTENT]",
)  # fmt: skip


def is_tekken(value: dict[str, Any]) -> bool:
    """Whether a JSON file is a tekken vocabulary."""
    config = value.get("config")
    return isinstance(config, dict) and "default_num_special_tokens" in config and isinstance(value.get("vocab"), list)


def tokenizer_from_tekken(value: dict[str, Any]) -> dict[str, Any]:
    """A BPE tokenizer with the same ids; raises ValueError for a file that is none.

    Tekken ranks bytes instead of listing merges: the merge that makes a token is the last one when its bytes are merged
    by lower ranks alone. Special tokens come first; files that do not list them have the twenty of the first versions.
    """
    config = value["config"]
    special, size = int(config["default_num_special_tokens"]), int(config["default_vocab_size"])
    if not 0 <= special < size <= _MOST:
        raise ValueError("sizes out of range")
    try:
        ranked = [base64.b64decode(entry["token_bytes"], validate=True) for entry in value["vocab"][: size - special]]
    except (TypeError, KeyError, binascii.Error) as error:
        raise ValueError(f"a token that cannot be read: {error}") from error
    if any(not 0 < len(token) <= _LONGEST for token in ranked):
        raise ValueError("a token of no length, or too long")
    ranks = {token: rank for rank, token in enumerate(ranked)}
    letters = _letters()

    def word(token: bytes) -> str:
        return "".join(letters[byte] for byte in token)

    merges = [[word(a), word(b)] for token in ranked if len(token) > 1 for a, b in [_last_merge(token, ranks)]]
    stated = value.get("special_tokens")
    listed = {int(e["rank"]): str(e["token_str"]) for e in stated} if isinstance(stated, list) else {}
    names = [listed.get(k, f"<SPECIAL_{k}>") for k in range(special)]
    if not listed:
        names[: len(_SPECIAL_IN_TEXTS)] = _SPECIAL_IN_TEXTS
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    cut = {"type": "Split", "pattern": {"Regex": str(config["pattern"])}, "behavior": "Isolated", "invert": False}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": k, "content": name, **flags} for k, name in enumerate(names)],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [cut, byte_level]},
        "post_processor": None,
        "decoder": {**byte_level, "type": "ByteLevel"},
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": True,
            "vocab": {name: k for k, name in enumerate(names)} | {word(t): special + r for t, r in ranks.items()},
            "merges": merges,
        },
    }  # fmt: skip


def _last_merge(token: bytes, ranks: dict[bytes, int]) -> tuple[bytes, bytes]:
    """The two parts that a token is made of when its bytes are merged by ranks below its own."""
    parts = [token[k : k + 1] for k in range(len(token))]
    while len(parts) > 2:
        pairs = [ranks.get(parts[k] + parts[k + 1], _MOST) for k in range(len(parts) - 1)]
        best = min(range(len(pairs)), key=pairs.__getitem__)
        if pairs[best] >= ranks[token]:
            break
        parts[best : best + 2] = [parts[best] + parts[best + 1]]
    return b"".join(parts[:-1]), parts[-1]


def _letters() -> dict[int, str]:
    """The printable letter that stands for each byte in byte-level vocabularies (GPT-2's table)."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = {byte: chr(byte) for byte in plain}
    return table | {byte: chr(256 + k) for k, byte in enumerate(b for b in range(256) if b not in table)}
