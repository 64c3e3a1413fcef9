"""Where the divergence sits: by the reference's confidence, position, segment, domain, and depth into a reply."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from harness.comparisons.model import Slice
from harness.comparisons.table import TokenTable
from harness.evidence.clustered import positive_mean_interval
from harness.prompts.sequences import SEGMENTS

_CONFIDENCE = (0.0, 0.25, 0.5, 0.75, 0.95, 1.0)
_OCTAVES = (0, 32, 64, 128, 256, 512, 1024, 2048, 4096, 1 << 30)
_FIRST_TOKENS = 8
_FEWEST = 20


def all_slices(table: TokenTable) -> list[Slice]:
    """Mean KL on every slice with at least 20 tokens."""
    rows = table.rows
    position, top = rows["position"], table.column("p_top1_ref")
    found: list[Slice] = []
    for low, high in itertools.pairwise(_CONFIDENCE):
        inside = (top >= low) & ((top < high) | (high == 1.0))
        found += _slice(table, "reference confidence", f"{low:g} to {high:g}", inside)
    for start, end in itertools.pairwise(_OCTAVES):
        found += _slice(table, "position", f"{start} to {end - 1}", (position >= start) & (position < end))
    for code, name in enumerate(SEGMENTS):
        found += _slice(table, "segment", name, rows["segment"] == code)
    early = (rows["segment"] == SEGMENTS.index("response")) & (rows["depth"] < _FIRST_TOKENS)
    found += _slice(table, "segment", f"first {_FIRST_TOKENS} of a reply", early)
    domains = np.array([sequence.domain for sequence in table.sequences])
    for domain in sorted(set(domains.tolist())):
        found += _slice(table, "domain", domain, (domains == domain)[table.owner])
    return found


def _slice(table: TokenTable, axis: str, name: str, inside: NDArray[np.bool_]) -> list[Slice]:
    if inside.sum() < _FEWEST:
        return []
    estimate = positive_mean_interval(table.column("kl_ref_cand")[inside], table.cluster[inside])
    return [
        Slice(
            axis=axis,
            name=name,
            value=estimate.value,
            low=estimate.low,
            high=estimate.high,
            tokens=estimate.tokens,
            clusters=estimate.clusters,
            note=estimate.note,
        )
    ]
