"""Target specifications."""

from __future__ import annotations

import pytest

from harness.errors import BadSpec, UsageError
from harness.targets.alternatives import declared_claim, honest_band, rebuild
from harness.targets.spec import parse_spec


@pytest.mark.parametrize(
    ("text", "kind", "detail", "base"),
    [
        ("models/a", "plain", "", "models/a"),
        ("org/name@main", "plain", "", "org/name@main"),
        ("dtype:bf16:models/a", "dtype", "bf16", "models/a"),
        ("bnb:nf4:models/a", "bnb", "nf4", "models/a"),
        ("rtn:4:models/a", "rtn", "4g64", "models/a"),
        ("rtn:3g128:models/a", "rtn", "3g128", "models/a"),
        ("fp8:models/a", "fp8", "", "models/a"),
        ("ggufq:Q8_0:models/a", "ggufq", "Q8_0", "models/a"),
        ("gguf:models/a.gguf", "gguf", "", "models/a.gguf"),
        ("gptq:models/a", "gptq", "", "models/a"),
        ("C:/models/a", "plain", "", "C:/models/a"),
    ],
)
def test_specifications_are_read(text, kind, detail, base):
    """Every documented form, and paths that only look like one."""
    spec = parse_spec(text)
    assert (spec.kind, spec.detail, spec.base) == (kind, detail, base)


@pytest.mark.parametrize(
    "text", ["", "bnb:int3:a", "bnb:nf4", "rtn:9:a", "rtn:4g1:a", "dtype:int8:a", "https://x/v1#m"]
)
def test_bad_specifications_say_what_is_accepted(text):
    """Each refusal carries a way out."""
    with pytest.raises(BadSpec) as caught:
        parse_spec(text)
    assert caught.value.fix


def test_claims_are_rebuilt_from_the_reference():
    """A claim becomes a change of the reference; the reference's own format needs none; nonsense is refused."""
    reference = parse_spec("models/a")
    assert rebuild("fp32", reference, "fp32") is None
    assert rebuild("nf4", reference, "fp32").text == "bnb:nf4:models/a"
    assert rebuild("gguf:Q8_0", reference, "bf16").text == "ggufq:Q8_0:models/a"
    assert rebuild("int4g128", reference, "bf16").text == "rtn:4g128:models/a"
    for claim in ("int9", "int4g0", "gguf:Q4_Z", "awesome"):
        with pytest.raises(UsageError):
            rebuild(claim, reference, "fp32")


def test_a_quantization_that_the_user_asked_for_is_declared(toy, tmp_path):
    """bnb:nf4:... claims nf4; a plain checkpoint claims nothing."""
    from harness.targets.checkpoint.files import DigestCache, read_identity

    identity = read_identity(parse_spec(str(toy)), DigestCache(tmp_path))
    assert declared_claim(parse_spec(f"bnb:nf4:{toy}"), identity) == ("nf4", "its specification")
    assert declared_claim(parse_spec(str(toy)), identity) == ("", "")
    quantized = identity.model_copy(update={"quantization": {"quant_method": "gptq", "bits": 4, "group_size": 128}})
    assert declared_claim(parse_spec(str(toy)), quantized) == ("int4g128", "its quantization config")


def test_the_band_has_another_batch_shape_kernel_and_format():
    """Each member changes one thing."""
    band = honest_band(parse_spec("models/a"), "fp32")
    assert [member.name for member in band] == ["batch 2", "eager attention", "bf16"]
    assert honest_band(parse_spec("models/a"), "bf16")[-1].name == "fp32"


def test_per_channel_and_odd_group_sizes_are_read(toy, tmp_path):
    """-1 is one scale per row; a word is not a number; other methods are not understood."""
    from harness.targets.checkpoint.files import DigestCache, read_identity

    identity = read_identity(parse_spec(str(toy)), DigestCache(tmp_path))

    def claim(**config):
        return declared_claim(parse_spec(str(toy)), identity.model_copy(update={"quantization": config}))[0]

    assert claim(quant_method="gptq", bits=4, group_size=-1) == "int4-channel"
    assert claim(quant_method="gptq", bits=4, group_size="channel") == ""
    assert claim(quant_method="compressed-tensors") == ""


def test_compressed_tensors_are_read_where_all_layers_share_a_scheme(toy, tmp_path):
    """Integers by bits and group, floats of 8 bits as fp8; mixed schemes and other floats are not guessed.

    Rounded activations do not change the claim of the weights; they are told apart.
    """
    from harness.targets.checkpoint.files import DigestCache, read_identity

    identity = read_identity(parse_spec(str(toy)), DigestCache(tmp_path))

    def claim(*schemes, activations=None):
        groups = {
            f"group_{k}": {"targets": ["Linear"], "weights": scheme, "input_activations": activations}
            for k, scheme in enumerate(schemes)
        }
        config = {"quant_method": "compressed-tensors", "config_groups": groups}
        return declared_claim(parse_spec(str(toy)), identity.model_copy(update={"quantization": config}))[0]

    four = {"num_bits": 4, "type": "int", "group_size": 128}
    assert claim(four) == claim(four, four) == "int4g128"
    assert claim({"num_bits": 8, "type": "int", "group_size": None}) == "int8-channel"
    assert claim({"num_bits": 8, "type": "float"}) == "fp8"
    assert claim({"num_bits": 8, "type": "int", "group_size": None}, activations={"num_bits": 8}) == "int8-channel"
    assert (
        claim({"num_bits": 4, "type": "float"}) == claim(four, {**four, "num_bits": 8}) == claim() == claim(None) == ""
    )


def test_a_folder_may_be_called_like_a_kind():
    """Without a colon it is a path."""
    assert parse_spec("kv").base == "kv"
    assert parse_spec("rtn").kind == "plain"
