"""Rounding to block-scaled narrow floats against the same rounding done value by value."""

from __future__ import annotations

import math

import pytest
import torch

from harness.errors import IncompatibleCandidate
from harness.targets.alternatives import rebuild
from harness.targets.checkpoint.loading import load_model
from harness.targets.checkpoint.microscaling import GROUPS, round_to
from harness.targets.spec import parse_spec
from tests.support.families import make_family
from tests.support.toy import make_toy

VALUES = [sign * value for value in (0, 0.5, 1, 1.5, 2, 3, 4, 6) for sign in (1, -1)]


def by_hand(kind, group, whole):
    """One group, with Python's own arithmetic."""
    top = max(abs(value) for value in group)
    if kind == "nvfp4":
        step = float(torch.tensor(top / 6 / whole).to(torch.float8_e4m3fn)) * whole
    else:
        step = 2.0 ** (math.floor(math.log2(top)) - (2 if kind == "mxfp4" else 8))
    if kind == "mxfp8":
        return [float(torch.tensor(max(-448, min(448, v / step))).to(torch.float8_e4m3fn)) * step for v in group]
    return [min(VALUES, key=lambda c: (abs(c - v / step), int(abs(c) in {0.5, 1.5, 3, 6}))) * step for v in group]


@pytest.mark.parametrize("kind", GROUPS)
def test_every_group_is_rounded_with_its_own_scale(kind):
    """Random weights of several sizes, group by group."""
    weight = torch.randn(4, 64, generator=torch.Generator().manual_seed(0)) * torch.tensor(
        [[1.0], [1e-3], [40.0], [0.1]]
    )
    found = round_to(kind, weight)
    whole = float(weight.abs().max()) / (6 * 448)
    size = GROUPS[kind]
    for row in range(4):
        for start in range(0, 64, size):
            expected = by_hand(kind, weight[row, start : start + size].tolist(), whole)
            assert found[row, start : start + size].tolist() == pytest.approx(expected, rel=1e-5, abs=1e-12)


@pytest.mark.parametrize("kind", GROUPS)
def test_rounding_twice_changes_nothing_and_zeros_stay(kind):
    """What lies on the grid stays there; a matrix of zeros is no division by zero."""
    once = round_to(kind, torch.randn(3, 2, 64, generator=torch.Generator().manual_seed(1)))
    assert torch.allclose(round_to(kind, once), once, rtol=1e-6)
    assert not round_to(kind, torch.zeros(2, 64)).any()


@pytest.mark.parametrize("kind", GROUPS)
def test_a_claim_is_rebuilt_by_the_same_rounding(kind, tmp_path):
    """Linear layers and experts, in place; a matrix whose rows hold no whole group is refused by how much it would leave."""
    reference = make_family(tmp_path / "mixture", "mixtral")
    claimed = rebuild(kind, parse_spec(str(reference)), "bf16")
    assert claimed.text == f"mx:{kind}:{reference}"
    before, after = (own_state(parse_spec(text)) for text in (str(reference), claimed.text))
    for name, values in before.items():
        rounded = values.ndim > 1 and not any(part in name for part in ("embed", "lm_head", ".gate.weight", "router"))
        expected = round_to(kind, values) if rounded else values
        assert torch.equal(after[name], expected), name
    with pytest.raises(IncompatibleCandidate):
        load_model(parse_spec(f"mx:{kind}:{make_toy(tmp_path / 'odd', hidden_size=40, intermediate_size=56)}"))


def own_state(spec):
    model, _ = load_model(spec)
    return model.state_dict()
