"""The items that moved most, with the tokens where it happened: what a reader wants to see with their own eyes."""

from __future__ import annotations

import math

import numpy as np

from harness.comparisons.model import Result
from harness.comparisons.table import TokenTable

_ITEMS = 8
_TOKENS = 24


class TokenView(Result):
    """One token of an excerpt; ids are resolved to text when the report is made."""

    label: int
    kl: float
    p_ref: float
    p_cand: float
    top1_ref: int
    top1_cand: int
    agree: bool
    position: int  # of the token that was predicted, in its sequence


class WorstItem(Result):
    """An item with the mean KL of its tokens and an excerpt around its largest one."""

    item: str
    domain: str
    kl: float
    tokens: int
    start: int  # position of the first token of the excerpt
    excerpt: tuple[TokenView, ...]


def worst_items(table: TokenTable) -> list[WorstItem]:
    """The eight items of highest mean KL, each with 24 tokens around its largest; items with an infinite one come first."""
    kl = np.nan_to_num(table.column("kl_ref_cand"), nan=0.0)
    broken = np.bincount(table.owner, weights=~np.isfinite(table.column("kl_ref_cand")))
    counts = np.bincount(table.owner)
    means = np.bincount(table.owner, weights=kl) / np.maximum(counts, 1)
    found = []
    for index in np.lexsort((-means, -broken))[:_ITEMS]:
        if means[index] <= 0 and not broken[index]:
            break
        where = np.flatnonzero(table.owner == index)
        void = ~np.isfinite(table.column("kl_ref_cand")[where])
        peak = int(np.argmax(void)) if broken[index] else int(np.argmax(kl[where]))
        start = max(min(peak - _TOKENS // 2, len(where) - _TOKENS), 0)
        rows = table.rows[where[start : start + _TOKENS]]
        found.append(
            WorstItem(
                item=table.sequences[index].key,
                domain=table.sequences[index].domain,
                kl=math.inf if broken[index] else float(means[index]),
                tokens=int(counts[index]),
                start=int(rows["position"][0]) + 1,
                excerpt=tuple(
                    TokenView(
                        label=int(row["label"]),
                        kl=float(row["kl_ref_cand"]),
                        p_ref=float(np.exp(-row["nll_ref"])),
                        p_cand=float(np.exp(-row["nll_cand"])),
                        top1_ref=int(row["top1_ref"]),
                        top1_cand=int(row["top1_cand"]),
                        agree=bool(row["agree"]),
                        position=int(row["position"]) + 1,
                    )
                    for row in rows
                ),
            )
        )
    return found
