"""All rows of one target with the cluster and domain of every token: the input of the distribution checks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from harness.evidence.clustered import Floats, Ints, Sums, cluster_sums
from harness.prompts.sequences import Sequence
from harness.targets.rows import FLAG_NON_FINITE, FLAG_SUPPORT, Rows


@dataclass(frozen=True)
class TokenTable:
    """Rows in plan order. ``owner`` indexes ``sequences``; ``cluster`` indexes ``units``."""

    rows: Rows
    owner: Ints
    cluster: Ints
    sequences: tuple[Sequence, ...]
    units: tuple[str, ...]
    _cut: dict[frozenset[str], TokenTable] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def build(cls, parts: Iterable[tuple[Sequence, Rows]]) -> TokenTable:
        """Join the rows of several sequences."""
        sequences: list[Sequence] = []
        blocks, clusters = [], []
        units: dict[str, int] = {}
        for sequence, rows in parts:
            clusters.append(units.setdefault(sequence.cluster, len(units)))
            sequences.append(sequence)
            blocks.append(rows)
        sizes = [len(rows) for rows in blocks]
        owner = np.repeat(np.arange(len(blocks), dtype=np.int64), sizes)
        cluster = np.repeat(np.asarray(clusters, dtype=np.int64), sizes)
        return cls(_joined(blocks), owner, cluster, tuple(sequences), tuple(units))

    def column(self, name: str) -> Floats:
        """A column in fp64; infinite entries (support violations) become NaN, so that a mean leaves them out."""
        values = self.rows[name].astype(np.float64)
        values[~np.isfinite(values)] = np.nan
        return values

    @cached_property
    def scored(self) -> Ints:
        """1 where the token's distributions were finite, 0 where NaN or +inf voided it."""
        void: Ints = ((self.rows["flags"] & FLAG_NON_FINITE) == 0).astype(np.int64)
        return void

    @property
    def non_finite(self) -> int:
        """Tokens voided by NaN or +inf logits."""
        return int(((self.rows["flags"] & FLAG_NON_FINITE) > 0).sum())

    @property
    def violations(self) -> int:
        """Tokens where the candidate rules out an id that the reference can emit."""
        return int(((self.rows["flags"] & FLAG_SUPPORT) > 0).sum())

    def sums(self, name: str) -> Sums:
        """Per-cluster sums of a column."""
        return cluster_sums(self.column(name), self.cluster)

    def restrict(self, keys: set[str]) -> TokenTable:
        """The same table on a subset of its sequences, cut once however often it is asked for."""
        kept = frozenset(sequence.key for sequence in self.sequences if sequence.key in keys)
        if len(kept) == len(self._keys):
            return self
        if kept not in self._cut:
            self._cut[kept] = self._part(kept)
        return self._cut[kept]

    @cached_property
    def _keys(self) -> frozenset[str]:
        return frozenset(sequence.key for sequence in self.sequences)

    def _part(self, keys: frozenset[str]) -> TokenTable:
        ends = np.searchsorted(self.owner, np.arange(len(self.sequences) + 1))  # rows are in the order of sequences
        parts = [
            (sequence, self.rows[ends[index] : ends[index + 1]])
            for index, sequence in enumerate(self.sequences)
            if sequence.key in keys
        ]
        return TokenTable.build(parts)


def _joined(blocks: list[Rows]) -> Rows:
    """The rows one after the other; numpy's concatenate compares the fields of records pair by pair, which takes longer."""
    if len({block.dtype for block in blocks}) != 1:
        return np.concatenate(blocks)
    record = np.dtype((np.void, blocks[0].dtype.itemsize))
    joined: Rows = np.concatenate([np.ascontiguousarray(block).view(record) for block in blocks]).view(blocks[0].dtype)
    return joined
