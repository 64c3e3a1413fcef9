"""Tables of rows with known numbers, without any model."""

from __future__ import annotations

import numpy as np

from harness.comparisons.table import TokenTable
from harness.prompts.sequences import document_sequence
from harness.targets.rows import empty_rows


def table_of(documents: dict[str, np.ndarray], *, agree: float = 1.0, seed: int = 0) -> TokenTable:
    """One document per entry, with these divergences of its tokens; ``agree`` is the share of equal first choices."""
    rng = np.random.default_rng(seed)
    parts = []
    for key, kl in documents.items():
        rows = empty_rows(len(kl))
        rows["position"] = np.arange(len(kl))
        rows["kl_ref_cand"] = rows["kl_cand_ref"] = rows["kl_lower"] = kl
        rows["kl_se"] = 0
        rows["js"] = kl / 8
        rows["tv"] = np.minimum(np.sqrt(kl / 2), 1)
        rows["nll_ref"] = rows["entropy_ref"] = 2.0
        rows["nll_cand"] = rows["entropy_cand"] = 2.0 + kl
        rows["agree"] = rng.random(len(kl)) < agree
        rows["margin_ref"] = 0.5
        rows["overlap5"], rows["overlap10"] = 5, 10
        parts.append((document_sequence(key, "text", key, range(len(kl)), 0), rows))
    return TokenTable.build(parts)


def drawn(
    rng: np.random.Generator, documents: int, mean: float = 0.05, spread: float = 0.4, tokens: int = 120
) -> dict[str, np.ndarray]:
    """Documents whose mean divergences are log-normal around ``mean``, tokens log-normal around them."""
    effect = np.exp(rng.normal(-(spread**2) / 2, spread, documents))
    return {f"doc-{g:03d}": mean * effect[g] * np.exp(rng.normal(-0.5, 1.0, tokens)) for g in range(documents)}
