"""Every format is read as the weights that were packed, or refused by its name; nothing is judged by half of its file."""

from __future__ import annotations

import pytest
import torch

from harness.targets.alternatives import declared_claim
from harness.targets.checkpoint.files import DigestCache, read_identity
from harness.targets.checkpoint.formats.dense import dense_reference
from harness.targets.spec import parse_spec
from tests.support.quantized import RECIPES, write


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A toy whose sizes none of the blocks divides."""
    from tests.support.toy import make_toy

    return make_toy(tmp_path_factory.mktemp("base") / "toy", layers=1)


@pytest.mark.parametrize("name", RECIPES)
def test_a_format_is_read_as_what_was_packed(base, tmp_path, name):
    """All tensors of the folder under their own names, equal to fp32 rounding; the claim is the declared one."""
    recipe = RECIPES[name]
    folder = tmp_path / "packed"
    truth = write(base, folder, recipe)
    dense = dense_reference(folder)
    assert set(dense) == set(truth)
    for tensor, expected in truth.items():
        found = dense[tensor]
        assert found.shape == expected.shape
        assert torch.allclose(found.float(), expected, rtol=1e-6, atol=1e-7), tensor
    spec = parse_spec(str(folder))
    identity = read_identity(spec, DigestCache(tmp_path / "cache"))
    assert declared_claim(spec, identity)[0] == recipe.claim
    assert identity.weight_format.split()[0] in name or identity.weight_format in {"FP8", "GPTQ"}
