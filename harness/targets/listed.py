"""Log-probabilities that a host tells, as arrays: for each token of a reply, some ids and what the host gives them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: What hosts tell of a token that is not in their list, or that a cut-off rules out, lies below.
PLACEHOLDER = -9990.0


@dataclass(frozen=True, slots=True)
class Listed:
    """``ids`` and ``logs`` are ``[tokens, listed]``; the first column is the token that was sent. Unused places hold -1.

    ``logs`` are natural logarithms of probabilities under the host's whole distribution.
    """

    ids: NDArray[np.int64]
    logs: NDArray[np.float64]

    @classmethod
    def of(cls, places: Iterable[Iterable[tuple[int, float]]]) -> Listed:
        """From one list of pairs per token; a token without pairs has nothing listed."""
        rows = [list(place) for place in places]
        width = max((len(row) for row in rows), default=0) or 1
        ids = np.full((len(rows), width), -1, dtype=np.int64)
        logs = np.full((len(rows), width), np.nan)
        for number, row in enumerate(rows):
            for place, (name, value) in enumerate(row):
                ids[number, place], logs[number, place] = name, value
        return cls(ids, logs)

    @classmethod
    def joined(cls, parts: Iterable[Listed]) -> Listed:
        """Several replies in a row."""
        held = list(parts)
        width = max(part.ids.shape[1] for part in held)
        return cls(
            np.concatenate([np.pad(part.ids, _to(part, width), constant_values=-1) for part in held]),
            np.concatenate([np.pad(part.logs, _to(part, width), constant_values=np.nan) for part in held]),
        )

    def __bool__(self) -> bool:
        """Whether anything is listed at all."""
        return bool((self.ids >= 0).any())


def _to(part: Listed, width: int) -> tuple[tuple[int, int], tuple[int, int]]:
    return (0, 0), (0, width - part.ids.shape[1])
