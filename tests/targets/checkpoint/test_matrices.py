"""What counts as a matrix, and which way its inputs run, in every layout of experts."""

from __future__ import annotations

import pytest
import torch

from harness.errors import IncompatibleCandidate
from harness.targets.checkpoint.fake_quant import apply_rounding, round_to_nearest
from harness.targets.checkpoint.matrices import matrices, of_text
from tests.support.families import family_model

#: One of each layout of experts, and of the layouts beside them.
LAYOUTS = ("mixtral", "gpt_oss", "llama4_text", "dbrx", "deepseek_v3", "nemotron_h", "gpt2", "mamba2", "bloom")


@pytest.mark.parametrize("family", LAYOUTS)
@pytest.mark.parametrize("kind", ["rtn", "bnb", "ggufq", "fp8"])
def test_every_layout_is_rounded(family, kind):
    """Experts, transposed layers and state-space projections alike: less than a tenth of the weights stays as it was."""
    model = family_model(family)
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    apply_rounding(model, kind, {"rtn": "4g32", "bnb": "nf4", "ggufq": "Q4_0", "fp8": ""}[kind])
    inner = [one for one in matrices(model) if one.role in {"linear", "expert"}]
    assert inner
    for one in inner:
        assert not torch.equal(one.parameter, before[one.name]), one.name
    for one in matrices(model):
        if one.role == "other":  # routers, convolutions
            assert torch.equal(one.parameter, before[one.name])


@pytest.mark.parametrize(("family", "transposed"), [("mixtral", False), ("gpt_oss", True), ("llama4_text", True)])
def test_groups_of_experts_run_along_their_inputs(family, transposed):
    """Each expert is rounded as the matrix that it was before the library fused it."""
    model = family_model(family)
    expert = next(one for one in matrices(model) if one.role == "expert")
    first = expert.parameter.data[0].clone()
    first = first.t() if transposed else first
    apply_rounding(model, "rtn", "4g32")
    now = expert.parameter.data[0].t() if transposed else expert.parameter.data[0]
    assert torch.equal(now, round_to_nearest(first.contiguous(), 4, 32))


def test_what_would_stay_as_it_is_is_refused():
    """A model whose rows hold no whole block of llama.cpp's would come out as its own unrounded self."""
    from transformers import LlamaConfig, LlamaForCausalLM

    odd = {"hidden_size": 48, "intermediate_size": 80, "num_attention_heads": 3, "num_key_value_heads": 3}
    model = LlamaForCausalLM(LlamaConfig(num_hidden_layers=1, vocab_size=64, **odd))
    with pytest.raises(IncompatibleCandidate, match="would leave"):
        apply_rounding(model, "ggufq", "Q4_0")


def test_towers_lie_beside_the_text():
    """Of a release that also sees, the language model and its head are text."""
    model = family_model("gemma3")
    seen = {name for name, _ in model.named_parameters() if not of_text(model, name)}
    assert seen == {name for name, _ in model.named_parameters() if "vision_tower" in name or "projector" in name}
