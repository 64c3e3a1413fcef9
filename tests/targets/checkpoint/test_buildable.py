"""Whether a copy can be built is known before anything rests on it."""

from __future__ import annotations

import pytest

from harness.targets.checkpoint.buildable import build_problem
from harness.targets.spec import parse_spec
from tests.support.families import make_family
from tests.support.toy import make_toy


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """Rows of 48, heads of 16: no whole block of llama.cpp's anywhere."""
    fields = {"hidden_size": 48, "intermediate_size": 80, "num_attention_heads": 3, "num_key_value_heads": 3}
    return make_toy(tmp_path_factory.mktemp("odd") / "reference", **fields)


@pytest.mark.parametrize(
    ("build", "problem"),
    [
        ("rtn:4g128", ""),
        ("fp8", ""),
        ("bnb:nf4", ""),
        ("kv:e4m3", ""),
        ("ggufq:Q4_0", "would leave"),
        ("kv:q4_0", "cannot be rounded"),
    ],
)
def test_builds_that_the_shapes_of_a_model_forbid(odd, build, problem):
    """Groups of any length divide anything; blocks of 32 do not."""
    found = build_problem(parse_spec(f"{build}:{odd}"))
    assert problem in found
    assert bool(found) == bool(problem)


def test_a_cache_behind_alibi_cannot_be_reached(tmp_path):
    """Bloom's attention takes keys where nobody can round them, which a model without that would not show."""
    assert "cannot be rounded" in build_problem(parse_spec(f"kv:e4m3:{make_family(tmp_path / 'bloom', 'bloom')}"))
