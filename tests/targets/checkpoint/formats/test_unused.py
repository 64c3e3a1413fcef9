"""Whatever of a folder was not used is named, and nothing beside the weights changes them."""

from __future__ import annotations

import json
import shutil
import sys
import types

import pytest
import torch
from safetensors.torch import load_file, save_file

from harness.targets.checkpoint.files import DigestCache, read_identity
from harness.targets.checkpoint.loading import load, load_model
from harness.targets.spec import parse_spec
from harness.verdicts.file_findings import not_applied, stated_findings
from tests.support.families import make_family
from tests.support.quantized import RECIPES, write
from tests.support.toy import edit_json, make_toy


@pytest.fixture
def copy(toy, tmp_path):
    return shutil.copytree(toy, tmp_path / "copy")


def identity(folder, tmp_path):
    return read_identity(parse_spec(str(folder)), DigestCache(tmp_path / "cache"))


def add(folder, **tensors):
    """Put further tensors into the file."""
    file = folder / "model.safetensors"
    save_file({**load_file(str(file)), **tensors}, str(file), {"format": "pt"})


def test_harmless_leftovers_are_told_and_load(copy):
    """Rotary tables, zero biases, layers that predict further tokens, a tower for images, a value head: named by kind."""
    layer = {name: value for name, value in load_file(str(copy / "model.safetensors")).items() if "layers.1." in name}
    add(
        copy,
        **{
            "model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(8),
            "model.layers.0.self_attn.q_proj.bias": torch.zeros(64),
            **{name.replace("layers.1.", "layers.2."): value for name, value in layer.items()},
            "model.layers.2.eh_proj.weight": torch.ones(64, 128),
            "vision_tower.layers.0.weight": torch.ones(4, 4),
            "v_head.weight": torch.ones(1, 64),
            "extra": torch.ones(3),
        },
    )
    loaded = load(parse_spec(str(copy)))
    kinds = {one.rpartition(": ")[0]: one for one in loaded.unused}
    assert set(kinds) == {
        "tables that the library computes itself", "biases that are all zero",
        "layers beyond num_hidden_layers, such as those that predict further tokens", "parts beside the text model",
        "tensors outside the layers",
    }  # fmt: skip
    assert stated_findings(identity(copy, copy.parent), loaded.unused)[-1].code == "FILE112"


def test_what_the_library_leaves_out_by_design_is_told(copy, monkeypatch):
    """An architecture may declare weights that it never uses, such as keys of layers that share a cache."""
    from transformers import LlamaForCausalLM

    monkeypatch.setattr(
        LlamaForCausalLM, "_keys_to_ignore_on_load_unexpected", [r"layers\.1\.shared_k_proj"], raising=False
    )
    add(copy, **{"model.layers.1.shared_k_proj.weight": torch.ones(2, 2)})
    assert load(parse_spec(str(copy))).unused == (
        "tensors that the library's architecture leaves out by design: 1 (model.layers.1.shared_k_proj.weight)",
    )


def test_a_clean_folder_leaves_nothing(toy, tmp_path):
    """No finding is made of a folder that is used whole."""
    assert load(parse_spec(str(toy))).unused == ()
    assert stated_findings(identity(toy, tmp_path), ()) == []


def test_an_adapter_beside_the_weights_is_named_and_never_applied(copy, tmp_path, monkeypatch):
    """With a peft package that would fail when it is touched, and without one: the same weights, and a finding."""
    plain, _ = load_model(parse_spec(str(copy)))
    save_file({"base_model.model.x.lora_A.weight": torch.ones(2, 2)}, str(copy / "adapter_model.safetensors"))
    (copy / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": str(copy)}))
    monkeypatch.setitem(sys.modules, "peft", types.ModuleType("peft"))
    found, _ = load_model(parse_spec(str(copy)))
    assert all(torch.equal(found.state_dict()[name], value) for name, value in plain.state_dict().items())
    told = stated_findings(identity(copy, tmp_path), ())
    assert [one.code for one in told] == ["FILE109"]
    assert "adapter_model.safetensors" in told[0].detail
    assert "adapter_config.json" in told[0].detail


def test_files_that_the_index_does_not_list_are_not_read(copy, tmp_path):
    """A stale file with another embedding under the same name changes nothing, and is named."""
    before = identity(copy, tmp_path)
    tensors = load_file(str(copy / "model.safetensors"))
    (copy / "model.safetensors").rename(copy / "model-00001-of-00001.safetensors")
    mapping = dict.fromkeys(tensors, "model-00001-of-00001.safetensors")
    (copy / "model.safetensors.index.json").write_text(json.dumps({"weight_map": mapping}))
    save_file({"model.embed_tokens.weight": torch.ones(2, 2)}, str(copy / "consolidated.safetensors"))
    after = identity(copy, tmp_path)
    assert after.beside == ("consolidated.safetensors",)
    assert after.parameters == before.parameters
    model, _ = load_model(parse_spec(str(copy)))
    assert torch.equal(model.model.embed_tokens.weight, tensors["model.embed_tokens.weight"])


def test_code_beside_a_native_architecture_is_named_and_not_run(copy, tmp_path):
    """auto_map is a fact: the library's own classes read the folder, and the module that it names is never opened."""
    (copy / "modeling_x.py").write_text("raise SystemExit('ran')")
    edit_json(copy / "config.json", auto_map={"AutoModelForCausalLM": "modeling_x.X", "AutoConfig": "modeling_x.C"})
    load_model(parse_spec(str(copy)))
    told = stated_findings(identity(copy, tmp_path), ())
    assert [(one.code, one.detail) for one in told] == [("FILE108", "modeling_x.C, modeling_x.X")]


@pytest.mark.parametrize(
    ("name", "activations", "cache", "outside"),
    [
        ("ModelOpt FP8", "8 bits (FP8)", "FP8", True),
        ("ModelOpt NVFP4", "4-bit floats (NVFP4)", "", True),
        ("compressed-tensors W8A8", "8-bit int, dynamic scales", "", False),
        ("FP8 per block", "fp8, dynamic scales", "", False),
        ("GPTQ 4 bits", "", "", False),
    ],
)
def test_declared_rounding_that_is_not_applied_is_said(toy, tmp_path, name, activations, cache, outside):
    """Findings and a clause of the verdict's sentence name rounding of activations and of keys and values."""
    write(toy, tmp_path / "packed", RECIPES[name])
    found = identity(tmp_path / "packed", tmp_path)
    assert (found.activations, found.cache) == (activations, cache)
    told = stated_findings(found, ())
    expected = {"FILE110": bool(activations), "FILE111": bool(cache), "FILE113": outside}
    assert {one.code for one in told} == {code for code, present in expected.items() if present}
    clause = not_applied(told)
    assert ("activations" in clause, "keys and values" in clause) == (bool(activations), bool(cache))


def test_scales_of_keys_and_values_are_told(copy, tmp_path):
    """Without a word in config.json, calibrated scales of a KV cache are found by their names."""
    add(copy, **{f"model.layers.{k}.self_attn.k_scale": torch.tensor(0.1) for k in range(2)})
    assert identity(copy, tmp_path).cache == "2 scales of keys and values (model.layers.0.self_attn.k_scale)"
    assert load(parse_spec(str(copy))).unused == ()


def test_padded_rows_of_an_embedding_are_scored(tmp_path):
    """Rows beyond the tokenizer load, and the head covers them."""
    folder = make_toy(tmp_path / "padded", layers=1, vocabulary=320)
    assert load(parse_spec(str(folder))).vocabulary == 320


def test_weights_of_a_model_that_are_called_scales_are_weights(tmp_path):
    """Gemma 3n corrects its outputs by a vector of its own called ``correct_output_scale``: no leftover of a quantization."""
    folder = make_family(tmp_path / "reference", "gemma3n_text")
    model, _ = load_model(parse_spec(str(folder)))
    assert model.fidelity_unused == ()
