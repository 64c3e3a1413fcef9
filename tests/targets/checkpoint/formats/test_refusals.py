"""What cannot be read exactly is refused by its name, and every way out that is printed works."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from harness.errors import BrokenCheckpoint, UnsafeCheckpoint
from harness.targets.checkpoint.files import DigestCache, read_identity
from harness.targets.checkpoint.formats.registry import NOT_READ
from harness.targets.checkpoint.loading import load_model
from harness.targets.spec import parse_spec
from tests.support.quantized import RECIPES, write
from tests.support.toy import edit_json, edit_tensors, make_toy


@pytest.fixture
def copy(toy, tmp_path):
    return shutil.copytree(toy, tmp_path / "copy")


def identity(folder, tmp_path):
    return read_identity(parse_spec(str(folder)), DigestCache(tmp_path / "cache"))


@pytest.mark.parametrize("method", [*NOT_READ, "brand_new"])
def test_a_method_that_is_not_read_is_refused_by_name(copy, tmp_path, method):
    """Before anything is loaded, with the file that declares it and a way out."""
    edit_json(copy / "config.json", quantization_config={"quant_method": method, "bits": 4})
    with pytest.raises(BrokenCheckpoint, match="not read") as refused:
        identity(copy, tmp_path)
    assert NOT_READ.get(method, "brand-new") in refused.value.problem
    assert "config.json" in refused.value.where
    assert "http://HOST:PORT/v1#MODEL" in refused.value.fix


def test_an_unpacked_copy_is_the_way_out(copy, tmp_path):
    """Dense weights without the declaration are read, as the fix says."""
    edit_json(copy / "config.json", quantization_config={"quant_method": "aqlm"})
    with pytest.raises(BrokenCheckpoint, match="AQLM"):
        identity(copy, tmp_path)
    edit_json(copy / "config.json", quantization_config=None)
    assert identity(copy, tmp_path).weight_format == ""


def test_a_declaration_without_codes_is_refused_until_it_is_taken_out(copy, tmp_path):
    """Engines would quantize such weights while loading; following the fix, the weights are judged as they lie."""
    edit_json(copy / "config.json", quantization_config={"quant_method": "fp8"})
    with pytest.raises(BrokenCheckpoint, match="no tensor is stored so") as refused:
        identity(copy, tmp_path)
    assert "take the quantization out of config.json" in refused.value.fix
    edit_json(copy / "config.json", quantization_config=None)
    model, _ = load_model(parse_spec(str(copy)))
    assert model.dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.float8_e4m3fn, torch.int32])
def test_codes_without_scales_are_no_weights(copy, tmp_path, dtype):
    """One-byte weights and packed words that no file explains are named and refused."""
    edit_tensors(copy, lambda name, value: value.to(dtype) if "up_proj" in name else value)
    with pytest.raises(BrokenCheckpoint, match=r"2 tensors are codes .*up_proj"):
        identity(copy, tmp_path)


def test_the_missing_quantization_config_is_the_way_out(toy, tmp_path):
    """A GPTQ folder that lost its declaration is refused; with it back, it loads."""
    recipe = RECIPES["GPTQ 4 bits"]
    write(toy, tmp_path / "lost", recipe)
    edit_json(tmp_path / "lost" / "config.json", quantization_config=None)
    with pytest.raises(BrokenCheckpoint, match="codes whose scales are not known") as refused:
        identity(tmp_path / "lost", tmp_path)
    assert "quantize_config.json" in refused.value.fix
    (tmp_path / "lost" / "quantize_config.json").write_text(json.dumps(recipe.settings))
    assert identity(tmp_path / "lost", tmp_path).weight_format == "GPTQ"


def test_scales_beside_dense_weights_are_refused_until_they_are_gone(copy):
    """Whether they were applied is unknown; a file without them says so."""
    file = copy / "model.safetensors"
    tensors = load_file(str(file))
    scales = {f"{name}_scale": torch.ones(1) for name in tensors if "up_proj" in name}
    save_file({**tensors, **scales}, str(file), {"format": "pt"})
    with pytest.raises(BrokenCheckpoint, match="left over") as refused:
        load_model(parse_spec(str(copy)))
    assert "save them without these tensors" in refused.value.fix
    save_file(tensors, str(file), {"format": "pt"})
    load_model(parse_spec(str(copy)))


def test_weights_that_the_configuration_switches_off_are_refused(tmp_path):
    """Biases of attention are in the file, and config.json says that there are none; the release's own config mends it."""
    folder = make_toy(tmp_path / "biased", layers=1, attention_bias=True)
    edit_tensors(folder, lambda name, value: value + 0.5 if name.endswith(".bias") else value)
    edit_json(folder / "config.json", attention_bias=False)
    with pytest.raises(
        BrokenCheckpoint, match="4 weights inside the layers are unknown to LlamaForCausalLM"
    ) as refused:
        load_model(parse_spec(str(folder)))
    assert "config.json" in refused.value.fix
    edit_json(folder / "config.json", attention_bias=True)
    load_model(parse_spec(str(folder)))


def test_renamed_weights_are_not_called_an_incomplete_download(copy):
    """Where the file has as many unknown tensors as the model lacks, the names are the fault."""
    file = copy / "model.safetensors"
    tensors = {name.replace("self_attn", "attention"): value for name, value in load_file(str(file)).items()}
    save_file(tensors, str(file), {"format": "pt"})
    with pytest.raises(BrokenCheckpoint, match="missing or of the wrong shape") as refused:
        load_model(parse_spec(str(copy)))
    assert "the file has other names" in refused.value.fix


def test_lost_weights_are_an_incomplete_download(copy, toy):
    """A tensor that is simply gone asks for the complete checkpoint, which loads."""
    file = copy / "model.safetensors"
    save_file({n: v for n, v in load_file(str(file)).items() if "layers.1.mlp" not in n}, str(file), {"format": "pt"})
    with pytest.raises(BrokenCheckpoint) as refused:
        load_model(parse_spec(str(copy)))
    assert "fetch the complete checkpoint" in refused.value.fix
    load_model(parse_spec(str(toy)))


def test_sizes_that_disagree_blame_the_configuration(copy):
    """A config.json of another size is what the fix names; with the right one it loads."""
    edit_json(copy / "config.json", intermediate_size=96)
    with pytest.raises(BrokenCheckpoint) as refused:
        load_model(parse_spec(str(copy)))
    assert "config.json" in refused.value.fix
    edit_json(copy / "config.json", intermediate_size=128)
    load_model(parse_spec(str(copy)))


def test_layouts_for_one_kernel_are_refused_by_name(toy, tmp_path):
    """Marlin's order is not GPTQ's, whatever the method is called; the plain format of the same weights is read."""
    recipe = RECIPES["GPTQ 4 bits"]
    write(toy, tmp_path / "marlin", recipe)
    edit_json(
        tmp_path / "marlin" / "config.json", quantization_config={**recipe.settings, "checkpoint_format": "marlin"}
    )
    with pytest.raises(BrokenCheckpoint, match="'marlin'") as refused:
        identity(tmp_path / "marlin", tmp_path)
    assert "'gptq'" in refused.value.fix
    edit_json(tmp_path / "marlin" / "config.json", quantization_config={**recipe.settings, "checkpoint_format": "gptq"})
    assert identity(tmp_path / "marlin", tmp_path).weight_format == "GPTQ"


def test_codes_of_another_layout_are_refused_before_loading(toy, tmp_path):
    """AWQ's packing under GPTQ's name fits no GPTQ layout."""
    write(toy, tmp_path / "awq", RECIPES["AWQ gemm"])
    edit_json(tmp_path / "awq" / "config.json", quantization_config=RECIPES["GPTQ 4 bits"].settings)
    with pytest.raises(BrokenCheckpoint, match="not in GPTQ's layout"):
        identity(tmp_path / "awq", tmp_path)


def test_a_gptq_prefix_on_another_format_says_so(toy, tmp_path):
    """gptq:PATH reads GPTQ alone; without the prefix the folder is read as what it is."""
    write(toy, tmp_path / "awq", RECIPES["AWQ gemm"])
    with pytest.raises(BrokenCheckpoint, match="not a GPTQ checkpoint") as refused:
        load_model(parse_spec(f"gptq:{tmp_path / 'awq'}"))
    assert "without the gptq: prefix" in refused.value.fix
    load_model(parse_spec(str(tmp_path / "awq")))


def test_a_compressed_layout_that_is_not_read_is_named(toy, tmp_path):
    """Sparse bitmasks and online transforms are refused by what they are."""
    recipe = RECIPES["compressed-tensors int4"]
    write(toy, tmp_path / "ct", recipe)
    for more, name in (
        ({"format": "marlin-24"}, "marlin-24"),
        ({"transform_config": {"config_groups": {"a": {}}}}, "transform"),
    ):
        edit_json(tmp_path / "ct" / "config.json", quantization_config={**recipe.settings, **more})
        with pytest.raises(BrokenCheckpoint, match=name):
            identity(tmp_path / "ct", tmp_path)


def test_an_adapter_alone_is_no_model(copy, tmp_path):
    """A folder with nothing but LoRA files beside its config asks for the merged weights."""
    (copy / "model.safetensors").rename(copy / "adapter_model.safetensors")
    (copy / "adapter_config.json").write_text("{}")
    with pytest.raises(BrokenCheckpoint, match="adapter") as refused:
        identity(copy, tmp_path)
    assert "merge" in refused.value.fix


def test_code_of_an_unknown_architecture_is_refused_at_once(copy, tmp_path):
    """Nothing of the library's own reads it, and the release's code is never run."""
    edit_json(copy / "config.json", model_type="brand_new", auto_map={"AutoConfig": "configuration_x.XConfig"})
    with pytest.raises(UnsafeCheckpoint, match="auto_map"):
        identity(copy, tmp_path)


def test_private_switches_of_the_loader_are_refused_until_they_are_gone(copy, tmp_path):
    """The fix names the switch, and without it the folder is read."""
    edit_json(copy / "config.json", _attn_implementation="kernels-community/evil")
    with pytest.raises(UnsafeCheckpoint, match="private settings") as refused:
        identity(copy, tmp_path)
    assert "take _attn_implementation out of config.json" in refused.value.fix
    edit_json(copy / "config.json", _attn_implementation=None)
    assert identity(copy, tmp_path).code == ()


def test_an_unknown_architecture_asks_for_a_newer_library(copy):
    """What the library does not know is said in its words."""
    edit_json(copy / "config.json", model_type="brand_new")
    with pytest.raises(BrokenCheckpoint) as refused:
        load_model(parse_spec(str(copy)))
    assert "pip install -U transformers" in refused.value.fix


def test_missing_parts_of_numbered_files_are_counted(copy, tmp_path):
    """Shards without an index still tell by their names that some are missing."""
    (copy / "model.safetensors").rename(copy / "model-00001-of-00003.safetensors")
    with pytest.raises(BrokenCheckpoint, match="2 of 3 weight files are missing"):
        identity(copy, tmp_path)


def test_damaged_layers_are_named(toy, tmp_path):
    """A packed layer without its zero points is broken, not guessed."""
    folder = tmp_path / "cut"
    write(toy, folder, RECIPES["GPTQ 4 bits"])
    file = folder / "model.safetensors"
    save_file({n: v for n, v in load_file(str(file)).items() if not n.endswith("1.mlp.up_proj.qzeros")}, str(file))
    with pytest.raises(BrokenCheckpoint, match=r"layers\.1\.mlp\.up_proj lacks qzeros"):
        identity(folder, tmp_path)
