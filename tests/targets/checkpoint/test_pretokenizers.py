"""GGUF files name how texts are cut; transformers' converters forget it, and ours must not."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from harness.targets.checkpoint import pretokenizers
from harness.targets.checkpoint.pretokenizers import RULES, mend
from harness.targets.checkpoint.tokenization import load_tokenizer
from harness.targets.spec import TargetSpec


def test_the_demo_file_cuts_as_llamacpp_does(smollm_gguf):
    """Number characters beyond digits stand alone, as the running server tokenises them."""
    tokenizer = load_tokenizer(TargetSpec("gguf", "", str(smollm_gguf)))
    assert tokenizer.is_faithful
    assert tokenizer("a ①", add_special_tokens=False)["input_ids"] == [81, 216, 173, 235, 250]
    assert tokenizer("½ ²", add_special_tokens=False)["input_ids"] == [16738, 216, 19133]


CUTS = {
    "gpt-2": ["it", "'s", "Ġ1234", "Ġok", "!"],
    "smollm": ["it", "'s", "Ġ", "1", "2", "3", "4", "Ġok", "!"],
    "llama-bpe": ["it", "'s", "Ġ", "123", "4", "Ġok", "!"],
    "qwen2": ["it", "'s", "Ġ", "1", "2", "3", "4", "Ġok", "!"],
    "tekken": ["it", "'s", "Ġ", "1", "2", "3", "4", "Ġok", "!"],
    "gpt-4o": ["it's", "Ġ", "123", "4", "Ġok", "!"],
    "deepseek-v3": ["it", "'s", "Ġ", "123", "4", "Ġok", "!"],
}


@pytest.mark.parametrize("name", CUTS)
def test_each_rule_cuts_as_its_tokenizer_does(monkeypatch, tmp_path, name):
    """Words, endings, digits and signs of one text, by the rule behind each name."""
    stated = {"model": "gpt2", "pre": name, "add_space_prefix": None}
    monkeypatch.setattr(pretokenizers, "_stated", lambda _, *keys: [stated[key] for key in keys])
    backend = Tokenizer(models.BPE())
    assert mend(backend, tmp_path)
    assert [piece for piece, _ in backend.pre_tokenizer.pre_tokenize_str("it's 1234 ok!")] == CUTS[name]
    assert backend.model.ignore_merges == RULES[name].ignore_merges


@pytest.mark.parametrize(("space", "pieces"), [(None, "▁a▁b"), (False, "a▁b")])
def test_sentencepiece_files_put_a_blank_in_front_unless_they_say_otherwise(monkeypatch, tmp_path, space, pieces):
    """llama.cpp's default is a blank in front of every text."""
    stated = {"model": "llama", "pre": "default", "add_space_prefix": space}
    monkeypatch.setattr(pretokenizers, "_stated", lambda _, *keys: [stated[key] for key in keys])
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    assert mend(backend, tmp_path)
    assert backend.normalizer.normalize_str("a b") == pieces
    assert backend.pre_tokenizer is None


@pytest.mark.parametrize(
    ("kind", "name"), [("gpt2", "never-heard-of"), ("gpt2", None), ("bert", "bert-bge"), ("t5", "default")]
)
def test_unknown_rules_are_left_alone_and_said_to_be_unknown(monkeypatch, tmp_path, kind, name):
    """Nothing is guessed."""
    stated = {"model": kind, "pre": name, "add_space_prefix": None}
    monkeypatch.setattr(pretokenizers, "_stated", lambda _, *keys: [stated[key] for key in keys])
    assert not mend(Tokenizer(models.BPE()), tmp_path)
