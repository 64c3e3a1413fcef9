"""The rotation of a configuration, computed without a model library."""

from __future__ import annotations

import numpy as np
import pytest

from harness.targets.rope import _table, same_turns

SIZES = {"hidden_size": 128, "num_attention_heads": 4, "max_position_embeddings": 4096}
RULES = {
    "default": {},
    "linear": {"factor": 4.0},
    "llama3": {
        "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 256,
    },
    "yarn": {"factor": 16.0, "original_max_position_embeddings": 256, "beta_fast": 24.0},
    "longrope": {
        "factor": 8.0, "original_max_position_embeddings": 512,
        "short_factor": [1 + i / 10 for i in range(16)], "long_factor": [1 + i for i in range(16)],
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", RULES)
def test_frequencies_are_the_librarys(kind):
    """Every rule gives the frequencies and the scale that transformers computes."""
    import torch
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    rope = {"rope_type": kind, "rope_theta": 50000.0} | RULES[kind]
    found = _table(SIZES | {"rope_parameters": rope}, rope)
    if kind == "default":
        expected, scale = 1.0 / 50000.0 ** (torch.arange(0, 32, 2) / 32), 1.0
    else:
        expected, scale = ROPE_INIT_FUNCTIONS[kind](LlamaConfig(**SIZES, rope_parameters=rope), None)
    assert np.allclose(found[0], expected.numpy(), rtol=1e-5)
    assert found[-1][0] == pytest.approx(scale)


def test_other_turns_are_told_apart():
    """Another base, factor, share of the head, or rule that is not known here."""
    base = SIZES | {"rope_parameters": {"rope_theta": 10000.0}}
    assert same_turns(base, SIZES | {"rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"}})
    for other in (
        {"rope_theta": 10001.0},
        {"rope_theta": 10000.0, "rope_type": "linear", "factor": 2.0},
        {"rope_theta": 10000.0, "partial_rotary_factor": 0.5},
        {"rope_theta": 10000.0, "rope_type": "strange"},
        {"full_attention": {"rope_theta": 10000.0}, "sliding_attention": {"rope_theta": 10000.0}},
    ):
        assert not same_turns(base, SIZES | {"rope_parameters": other})
