"""What a GGUF file says in the words of a release; what would compute and cannot be applied is refused by name."""

from __future__ import annotations

import json
import math

import pytest

from harness.comparisons.files import file_differences
from harness.errors import BrokenCheckpoint, TargetRefused
from harness.targets.checkpoint.files import DigestCache, read_identity
from harness.targets.gguf_config import translate
from harness.targets.gguf_file import read_model
from harness.targets.rope import same_turns
from harness.targets.spec import parse_spec
from tests.support.gguf_files import write_gguf
from tests.support.toy import edit_json

LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 10000.0, "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 512,
}  # fmt: skip
YARN = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 512}
YARN_FIELDS = {
    "rope.scaling.type": "yarn", "rope.scaling.factor": 4.0, "rope.scaling.original_context_length": 512,
    "rope.scaling.finetuned": True,
}  # fmt: skip


def llama3_factors(width: int = 16) -> list[float]:
    """As llama.cpp's converter computes them."""
    found = []
    for place in range(0, width, 2):
        length = 2 * math.pi * 10000.0 ** (place / width)
        if length < 512 / 4:
            found.append(1.0)
        elif length > 512:
            found.append(32.0)
        else:
            smooth = (512 / length - 1) / 3
            found.append(1 / ((1 - smooth) / 32 + smooth))
    return found


def translated(toy, tmp_path, **options):
    return translate(read_model(write_gguf(toy, tmp_path / "x.gguf", **options))).config


@pytest.mark.parametrize(
    ("rope", "fields", "tensors"),
    [
        (LLAMA3, {}, {"rope_freqs.weight": llama3_factors()}),
        (YARN, YARN_FIELDS, {}),
        (YARN | {"attention_factor": 1.0}, YARN_FIELDS | {"rope.scaling.attn_factor": 1 / (0.1 * math.log(4) + 1)}, {}),
        ({"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0}, {"rope.scaling.factor": 2.0}, {}),
        ({"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0}, {"rope.scale_linear": 2.0}, {}),
        (
            {"rope_type": "default", "rope_theta": 10000.0},
            {"rope.scaling.type": "none", "rope.scaling.factor": 8.0},
            {},
        ),
        ({"rope_type": "default", "rope_theta": 10000.0}, {"rope.freq_base": None}, {}),
    ],
)
def test_a_files_rotation_is_the_releases(toy, tmp_path, rope, fields, tensors):
    """Factors and scaling turn as the rule does from which the converter made them, and not as none does."""
    config = json.loads((toy / "config.json").read_text())
    found = translated(toy, tmp_path, fields={"rope.freq_base": 10000.0} | fields, tensors=tensors)
    assert same_turns(config | {"rope_parameters": rope}, found)
    plain = config | {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}}
    assert same_turns(plain, found) == (rope["rope_type"] == "default")


def test_a_file_that_lost_its_rotation_differs_by_name(toy, tmp_path):
    """A base, or factors, that the converter lost come out as rope_parameters; the sound file differs in nothing."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in toy.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    edit_json(copy / "config.json", rope_parameters=LLAMA3)
    sound = write_gguf(copy, tmp_path / "sound.gguf", tensors={"rope_freqs.weight": llama3_factors()})
    lost = write_gguf(copy, tmp_path / "lost.gguf")
    base = write_gguf(toy, tmp_path / "base.gguf", fields={"rope.freq_base": 500000.0})
    digests = DigestCache(tmp_path / "cache")

    def fields(reference, file):
        sides = [read_identity(parse_spec(spec), digests) for spec in (str(reference), f"gguf:{file}")]
        return [d.field for d in file_differences(*sides)]

    assert fields(copy, sound) == ["weights.dtype"]
    assert fields(copy, lost) == ["config.rope_parameters", "weights.dtype"]
    assert fields(toy, base) == ["config.rope_parameters", "weights.dtype"]


@pytest.mark.parametrize(
    ("fields", "tensors", "name"),
    [
        ({"logit_scale": 0.5}, {}, "llama.logit_scale = 0.5"),
        ({"final_logit_softcapping": 30.0}, {}, "llama.final_logit_softcapping"),
        ({"attention.causal": False}, {}, "llama.attention.causal"),
        ({"rope.dimension_count": 8}, {}, "rope.dimension_count is 8"),
        ({"rope.scaling.type": "ntk"}, {}, "rope.scaling.type is 'ntk'"),
        ({"attention.value_length": 32}, {}, "values 32 wide"),
        ({}, {"blk.0.attn_sinks.weight": [0.0] * 4}, "blk.0.attn_sinks.weight"),
        ({}, {"blk.0.ffn_up.scale": [1.0]}, "blk.0.ffn_up.scale"),
        ({}, {"rope_factors_long.weight": [1.0] * 8}, "one of the two sets"),
        ({}, {"rope_freqs.weight": [1.0] * 5}, "holds 5 numbers"),
    ],
)
def test_what_computes_and_is_not_applied_is_refused_by_name(toy, tmp_path, fields, tensors, name):
    """Scales, caps, masks, partial rotation and tensors that the family does not have."""
    with pytest.raises(TargetRefused, match=name.replace(".", r"\.")) as refused:
        translated(toy, tmp_path, fields=fields, tensors=tensors)
    assert "llama.cpp" in refused.value.fix


def test_what_says_nothing_is_no_reason_to_refuse(toy, tmp_path):
    """Zeros that stand for nothing, and facts of how the file was made."""
    fields = {
        "expert_count": 0, "expert_used_count": 0, "final_logit_softcapping": 0.0, "attention.causal": True,
        "rope.scaling.finetuned": False, "tensor_data_layout": "Meta AI original pth",
    }  # fmt: skip
    assert translated(toy, tmp_path, fields=fields)["model_type"] == "llama"


def test_unknown_architectures_and_missing_fields_are_named(toy, tmp_path):
    """An architecture without a table, and a file without a context length."""
    file = write_gguf(toy, tmp_path / "x.gguf")
    other = tmp_path / "other.gguf"
    other.write_bytes(file.read_bytes().replace(b"llama", b"lluma"))
    with pytest.raises(TargetRefused, match="architecture 'lluma'"):
        translate(read_model(other))
    with pytest.raises(BrokenCheckpoint, match="context_length"):
        translated(toy, tmp_path, fields={"context_length": None})
