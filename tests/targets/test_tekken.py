"""Mistral's vocabularies: the same ids as mistral-common gives, by a tokenizer that everything here reads."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import mistral_common
import pytest
from mistral_common.tokens.tokenizers.tekken import Tekkenizer
from tokenizers import Tokenizer

from harness.prompts.golden import GOLDEN
from harness.targets.tekken import is_tekken, tokenizer_from_tekken

REAL = Path(mistral_common.__file__).parent / "data" / "tekken_240911.json"


def test_a_real_vocabulary_gives_mistral_commons_ids():
    """131,072 ids: golden strings and control words become the same as in mistral-common itself."""
    value = json.loads(REAL.read_bytes())
    assert is_tekken(value)
    ours, theirs = Tokenizer.from_str(json.dumps(tokenizer_from_tekken(value))), Tekkenizer.from_file(REAL)
    for text in GOLDEN:
        assert ours.encode(text, add_special_tokens=False).ids == theirs.encode(text, bos=False, eos=False), text
    assert ours.get_vocab_size() == theirs.n_words
    assert [ours.id_to_token(k) for k in range(22)] == [theirs.id_to_piece(k) for k in range(22)]


def small(**changes):
    """A vocabulary of two special tokens, all bytes, and two merges."""
    tokens = [bytes([b]) for b in range(256)] + [b"ab", b"abc"]
    entries = [
        {"rank": k, "token_bytes": base64.b64encode(t).decode(), "token_str": None} for k, t in enumerate(tokens)
    ]
    config = {"pattern": r"\S+|\s+", "default_vocab_size": 260, "default_num_special_tokens": 2, "version": "v3"}
    value = {
        "config": config,
        "vocab": entries,
        "special_tokens": [{"rank": 0, "token_str": "<s>", "is_control": True}],
    }
    return value | changes


def test_ids_are_ranks_behind_the_special_tokens():
    """Merges are found from ranks; a special token that is not listed gets a name of its own."""
    tokenizer = Tokenizer.from_str(json.dumps(tokenizer_from_tekken(small())))
    assert tokenizer.encode("<s>abcab", add_special_tokens=False).ids == [0, 2 + 257, 2 + 256]
    assert tokenizer.id_to_token(1) == "<SPECIAL_1>"


@pytest.mark.parametrize(
    "changes",
    [
        {"vocab": [{"rank": 0, "token_bytes": "%%%"}]},
        {"vocab": [{"rank": 0, "token_bytes": ""}]},
        {"vocab": [{"rank": 0}]},
        {"vocab": ["a"]},
        {"vocab": [{"token_bytes": base64.b64encode(b"x" * 9999).decode()}]},
        {"config": {"default_num_special_tokens": 10, "default_vocab_size": 5, "pattern": ""}},
        {"config": {"default_num_special_tokens": 1, "default_vocab_size": 1 << 40, "pattern": ""}},
    ],
)
def test_hostile_vocabularies_are_refused(changes):
    """Bytes that are none, tokens without end, sizes out of range."""
    with pytest.raises(ValueError):
        tokenizer_from_tekken(small(**changes))
