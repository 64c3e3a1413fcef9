"""Reading a checkpoint's files: what they say, and what is refused before anything opens them."""

from __future__ import annotations

import json
import shutil
import struct

import pytest

from harness.comparisons.files import file_differences
from harness.errors import BrokenCheckpoint, TargetNotFound, UnsafeCheckpoint
from harness.targets.checkpoint.files import DigestCache, read_identity
from harness.targets.checkpoint.licence import describe, read_licence
from harness.targets.spec import parse_spec
from tests.support.toy import edit_json


@pytest.fixture
def copy(toy, tmp_path):
    return shutil.copytree(toy, tmp_path / "copy")


def identity(folder, tmp_path, prefix=""):
    return read_identity(parse_spec(f"{prefix}{folder}"), DigestCache(tmp_path / "cache"))


def test_identity_holds_the_facts(toy, tmp_path):
    """Weights, tokenizer, template, stop ids, licence and architecture are read without loading the model."""
    found = identity(toy, tmp_path)
    assert found.architecture == "LlamaForCausalLM"
    assert found.dtype == "F32"
    assert found.parameters > 50_000
    assert found.template_sha256
    assert found.stop_ids == (257,)
    assert (found.licence.name, found.licence.note) == ("apache-2.0", "approved by the OSI")
    assert found.missing == ()


def test_copies_are_the_same_model_and_edits_are_not(toy, copy, tmp_path):
    """The digest follows content, not place."""
    assert identity(copy, tmp_path).digest == identity(toy, tmp_path).digest
    edit_json(copy / "config.json", rms_norm_eps=1e-3)
    assert identity(copy, tmp_path).digest != identity(toy, tmp_path).digest


def test_differences_name_the_field(toy, copy, tmp_path):
    """A changed rope, stop set and template each come out under their own name; nothing else does."""
    edit_json(copy / "config.json", rope_parameters={"rope_theta": 5e5, "rope_type": "default"}, eos_token_id=[257, 3])
    (copy / "chat_template.jinja").write_text("{{ messages[0]['content'] }}")
    fields = [d.field for d in file_differences(identity(toy, tmp_path), identity(copy, tmp_path))]
    assert fields == ["config.rope_parameters", "template", "stop_ids"]


def test_rope_of_both_library_generations_is_one_fact(toy, copy, tmp_path):
    """rope_theta (transformers 4) and rope_parameters (5) with the same value are not a difference."""
    theta = json.loads((toy / "config.json").read_text())["rope_parameters"]["rope_theta"]
    edit_json(copy / "config.json", rope_parameters=None, rope_theta=theta, rope_scaling=None)
    assert file_differences(identity(toy, tmp_path), identity(copy, tmp_path)) == []


def test_a_fraction_that_one_side_keeps_in_fp32_is_the_same(toy, copy, tmp_path):
    """GGUF files hold 1e-05 as 9.999999747378752e-06; another epsilon is another one."""
    edit_json(copy / "config.json", rms_norm_eps=struct.unpack("f", struct.pack("f", 1e-5))[0])
    plain = shutil.copytree(toy, tmp_path / "plain")
    edit_json(plain / "config.json", rms_norm_eps=1e-5)
    assert file_differences(identity(plain, tmp_path), identity(copy, tmp_path)) == []
    edit_json(copy / "config.json", rms_norm_eps=1.1e-5)
    assert [d.field for d in file_differences(identity(plain, tmp_path), identity(copy, tmp_path))] == [
        "config.rms_norm_eps"
    ]


def test_missing_and_wrong_paths_say_what_to_give(tmp_path):
    """A path that does not exist, a folder without a config and a file that is no GGUF are told apart."""
    with pytest.raises(TargetNotFound, match="no checkpoint at this path"):
        identity(tmp_path / "nowhere", tmp_path)
    with pytest.raises(TargetNotFound, match=r"no config\.json"):
        identity(tmp_path, tmp_path)
    (tmp_path / "x.gguf").write_bytes(b"nonsense")
    with pytest.raises(BrokenCheckpoint, match="not a GGUF"):
        identity(tmp_path / "x.gguf", tmp_path, "gguf:")


def test_pickled_weights_are_refused_with_the_conversion_command(copy, tmp_path):
    """Pickles can run any code when opened, so they are not opened."""
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(UnsafeCheckpoint) as caught:
        identity(copy, tmp_path)
    assert "save_file" in caught.value.fix


@pytest.mark.parametrize("key", ["_experts_implementation", "_attn_implementation_internal", "trust_remote_code"])
def test_configs_that_steer_the_loader_are_refused(copy, tmp_path, key):
    """Loader switches and trust flags inside a config never reach the loader."""
    edit_json(copy / "config.json", **{key: {"AutoModel": "evil.Model"}})
    with pytest.raises(UnsafeCheckpoint):
        identity(copy, tmp_path)


def test_truncated_weights_are_found_before_loading(copy, tmp_path):
    """The header promises more bytes than the file has."""
    data = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(BrokenCheckpoint, match="ends early"):
        identity(copy, tmp_path)


@pytest.mark.parametrize("header", [b"{not json", b"[]", b'{"w": {"dtype": "F32"}}'])
def test_malformed_headers_are_refused(copy, tmp_path, header):
    """Anything but a proper header is a broken checkpoint, not a traceback."""
    (copy / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(BrokenCheckpoint):
        identity(copy, tmp_path)


def test_a_header_bomb_is_refused(copy, tmp_path):
    """A header of a hundred megabytes is legal and would take half a minute to parse; it is not read."""
    (copy / "model.safetensors").write_bytes(struct.pack("<Q", 100 << 20) + b"{}")
    with pytest.raises(UnsafeCheckpoint):
        identity(copy, tmp_path)


def test_an_index_with_absent_files_is_incomplete(copy, tmp_path):
    """A shard that is listed but not there is named."""
    (copy / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-00002-of-00002.safetensors"}}')
    with pytest.raises(BrokenCheckpoint, match="00002"):
        identity(copy, tmp_path)


def test_an_index_that_belongs_to_other_files_is_refused(copy, tmp_path):
    """A tensor that none of its files holds, and a file outside the folder; without the index the folder is read."""
    index = copy / "model.safetensors.index.json"
    index.write_text('{"weight_map": {"a": "model.safetensors"}}')
    with pytest.raises(BrokenCheckpoint, match="in none of its files"):
        identity(copy, tmp_path)
    (tmp_path / "other.safetensors").write_bytes(b"")
    index.write_text('{"weight_map": {"a": "../other.safetensors"}}')
    with pytest.raises(UnsafeCheckpoint, match="another folder"):
        identity(copy, tmp_path)
    index.unlink()
    assert identity(copy, tmp_path).beside == ()


def test_licences_in_plain_words(tmp_path):
    """OSI-approved, non-commercial, custom and missing licences get different notes."""
    assert describe("mit", has_file=False) == "approved by the OSI"
    assert "forbids" in describe("cc-by-nc-4.0", has_file=False)
    assert "custom" in describe("llama3", has_file=True)
    assert read_licence(tmp_path).note == "no licence declared"


def test_digests_are_remembered_until_the_file_changes(tmp_path):
    """A changed file is read again; an unchanged one is not."""
    file = tmp_path / "a.bin"
    file.write_bytes(b"one")
    first = DigestCache(tmp_path / "cache").of(file)
    assert DigestCache(tmp_path / "cache").of(file) == first
    file.write_bytes(b"three")
    assert DigestCache(tmp_path / "cache").of(file) != first


def test_a_tokenizer_that_is_edited_is_another_one_at_once(copy, tmp_path):
    """What one process remembers of a tokenizer ends with the file."""
    before = identity(copy, tmp_path)
    model = json.loads((copy / "tokenizer.json").read_text())["model"]
    edit_json(copy / "tokenizer.json", model={**model, "vocab": {**model["vocab"], "a new word": 999_999}})
    after = identity(copy, tmp_path)
    assert after.tokenizer_sha256 != before.tokenizer_sha256
    assert after.vocabulary_sha256 != before.vocabulary_sha256
    assert after.digest != before.digest


def test_fields_that_only_one_side_writes_out_are_no_difference(toy, copy, tmp_path):
    """A re-saved model spells out defaults; that computes nothing else. An infinite number in a config is no crash."""
    edit_json(copy / "config.json", mlp_bias=None, attention_bias=None, head_dim=None)
    assert file_differences(identity(toy, tmp_path), identity(copy, tmp_path)) == []
    text = (copy / "config.json").read_text()
    (copy / "config.json").write_text(text.replace("{", '{"time_step_limit": [0.0, Infinity],', 1))
    assert identity(copy, tmp_path).config["time_step_limit"] == [0.0, "Infinity"]
