"""Recipes of llama.cpp's quantizer, held against what its own quantizer did to files of several layouts.

``tests/data/gguf_recipes.json`` was recorded from llama.cpp (cyllama 0.2.18's ``model_quantize``): for each layout the
tensors, and for each recipe the type that every tensor got.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.targets.gguf_recipe import FILE_TYPES, RECIPES, Layout, recipe, stored_as

RECORDED = json.loads((Path(__file__).parents[1] / "data" / "gguf_recipes.json").read_text())
CASES = [(layout, name) for layout, entry in RECORDED.items() for name in entry["types"]]


def unfolded(types: dict[str, str | dict[str, list[int]]]) -> dict[str, str]:
    found = {}
    for name, value in types.items():
        if isinstance(value, str):
            found[name] = value
            continue
        for kind, layers in value.items():
            found |= {f"blk.{layer}.{name}": kind for layer in layers}
    return found


@pytest.mark.parametrize(("layout", "name"), CASES)
def test_every_tensor_gets_the_type_that_llamacpp_gives_it(layout, name):
    """Heads that share keys, tied embeddings, experts, fused attention, and rows that fall back."""
    entry = RECORDED[layout]
    known = Layout(*entry["layout"])
    tensors = [(tensor, tuple(shape)) for tensor, shape in entry["tops"].items()]
    tensors += [
        (f"blk.{layer}.{tensor}", tuple(shape))
        for layer in range(known.layers)
        for tensor, shape in entry["blocks"].items()
    ]
    assert recipe(name, tensors, known) == unfolded(entry["types"][name])


def test_the_order_of_the_tensors_does_not_matter():
    """llama.cpp sorts them by layer and name before it counts."""
    entry = RECORDED["plain"]
    known = Layout(*entry["layout"])
    tensors = [
        (f"blk.{layer}.{tensor}", tuple(shape))
        for layer in range(known.layers)
        for tensor, shape in entry["blocks"].items()
    ]
    assert recipe("Q4_K_M", tensors, known) == recipe("Q4_K_M", tensors[::-1], known)


def test_every_recipe_gives_types_that_fit():
    """No recipe of the table fails, with or without an importance matrix, on rows of 256, 96 and 80 weights."""
    for name in RECIPES:
        for width in (256, 96, 80):
            for experts in (0, 8):
                shapes = [
                    (f"blk.{layer}.{leaf}.weight", (8, width))
                    for layer in range(9)
                    for leaf in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_up", "ffn_gate", "ffn_down")
                ]
                for importance in (False, True):
                    layout = Layout("llama", 9, 4, experts)
                    kinds = set(
                        recipe(
                            name, [*shapes, ("token_embd.weight", (64, width))], layout, importance=importance
                        ).values()
                    )
                    assert all(stored_as(kind, width) == kind for kind in kinds), (name, width)


def test_numbers_of_file_types_are_the_formats():
    """The names by number are those of the gguf package."""
    import gguf

    for number, (name, _) in FILE_TYPES.items():
        assert gguf.LlamaFileType(number).name in {f"MOSTLY_{name}", f"ALL_{name}"}
