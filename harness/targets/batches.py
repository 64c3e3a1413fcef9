"""Batches: which sequences run through a model together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.prompts.sequences import Sequence


@dataclass(frozen=True, slots=True)
class Batch:
    """Sequences that run through the model together, padded on the right.

    ``ids`` is ``[sequences, length]`` and the other arrays are ``[sequences]``; positions ``first`` to ``end`` are
    scored. Reference and candidate see the same batches, because in bf16 another batch shape is another model.
    """

    ids: NDArray[np.int64]
    lengths: NDArray[np.int64]
    first: NDArray[np.int64]
    end: NDArray[np.int64]

    def scored_index(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Row and column of every scored position, sequence by sequence."""
        rows = [np.full(e - f, i) for i, (f, e) in enumerate(zip(self.first, self.end, strict=True))]
        columns = [np.arange(f, e) for f, e in zip(self.first, self.end, strict=True)]
        return np.concatenate(rows), np.concatenate(columns)

    def labels(self) -> NDArray[np.int64]:
        """The true next token of every scored position, -1 at the end of a sequence."""
        rows, columns = self.scored_index()
        inside = columns + 1 < self.lengths[rows]
        following = self.ids[rows, np.minimum(columns + 1, self.ids.shape[1] - 1)]
        return np.where(inside, following, -1)

    @property
    def tokens(self) -> int:
        """Number of scored positions."""
        return int((self.end - self.first).sum())

    @classmethod
    def of(cls, sequences: list[Sequence]) -> Batch:
        """Pad sequences on the right with id 0 (masked) to the longest of them."""
        lengths = np.array([len(sequence.ids) for sequence in sequences], dtype=np.int64)
        ids = np.zeros((len(sequences), int(lengths.max())), dtype=np.int64)
        for row, sequence in enumerate(sequences):
            ids[row, : len(sequence.ids)] = sequence.ids
        return cls(
            ids,
            lengths,
            np.array([sequence.first for sequence in sequences], dtype=np.int64),
            np.array([sequence.end for sequence in sequences], dtype=np.int64),
        )


def group(sequences: list[Sequence], size: int) -> list[list[Sequence]]:
    """Cut sequences into batches of ``size``, longest first so that padding stays small; ties by key."""
    ordered = sorted(sequences, key=lambda sequence: (-len(sequence.ids), sequence.key)) if size > 1 else sequences
    return [ordered[start : start + size] for start in range(0, len(ordered), size)]
