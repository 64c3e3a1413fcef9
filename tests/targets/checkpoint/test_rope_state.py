"""Frequencies that grow with the text: what one text gets does not depend on those before it."""

from __future__ import annotations

import torch

from harness.targets.checkpoint.loading import load_model
from harness.targets.spec import parse_spec
from tests.support.families import make_family


def test_a_text_after_a_longer_one_gets_what_it_gets_alone(tmp_path):
    """Of three texts longer than the trained length, the middle one is computed as by a model that met no other."""
    folder = make_family(tmp_path / "model", "llama_rope_dynamic")
    texts = [torch.arange(length)[None] % 250 for length in (150, 100, 40)]
    one, _ = load_model(parse_spec(str(folder)))
    with torch.inference_mode():
        together = [one(input_ids=ids, use_cache=False).logits for ids in texts]
        for ids, logits in zip(texts, together, strict=True):
            fresh, _ = load_model(parse_spec(str(folder)))
            assert torch.equal(fresh(input_ids=ids, use_cache=False).logits, logits)
