"""Two endpoints and no weights: do their replies to the same prompts come from one distribution?

For when nothing but a trusted endpoint is at hand. It says that something differs, never what, and honest engines differ:
a rejection is no accusation. Error rate: exactly alpha under "both sides answer each prompt alike", for one look.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import chain, combinations

import numpy as np

from harness.evidence.clustered import Floats

Kernel = Callable[[Sequence[int], Sequence[int]], float]

_EXACT = 20_000  # splits of blocks that are counted one by one
_SPLITS = 200_000  # splits of whole runs that are: ten against ten are 184,756


def hamming(a: Sequence[int], b: Sequence[int]) -> float:
    """Share of places with the same token, over the geometric mean of both lengths: padding does not count as agreement.

    1 for equal replies and 0 for replies without a common place; two empty replies are equal.
    """
    if not a or not b:
        return float(len(a) == len(b))
    return sum(x == y for x, y in zip(a, b, strict=False)) / math.sqrt(len(a) * len(b))


def edit(a: Sequence[int], b: Sequence[int]) -> float:
    """1 minus the Levenshtein distance over the longer length: forgives a token that was put in or left out."""
    if not a or not b:
        return float(len(a) == len(b))
    there = np.asarray(b)
    steps = np.arange(len(b) + 1)
    row = steps.copy()
    for count, token in enumerate(a, 1):
        kept = np.concatenate([[count], np.minimum(row[:-1] + (there != token), row[1:] + 1)])
        row = np.minimum.accumulate(kept - steps) + steps  # insertions, all at once
    return 1.0 - float(row[-1]) / max(len(a), len(b))


def mmd_test(
    ours: Sequence[Sequence[Sequence[int]]],
    theirs: Sequence[Sequence[Sequence[int]]],
    kernel: Kernel,
    permutations: int,
    seed: int,
) -> tuple[float, float]:
    """Squared maximum mean discrepancy over replies to the same prompts, and its permutation p-value.

    ``ours[i]`` and ``theirs[i]`` are the replies, as tokens, to prompt i; at least two on each side. The statistic is the
    mean over prompts of mean k(A, A') + mean k(B, B') - 2 mean k(A, B); labels are permuted within prompts, because each
    prompt has a distribution of its own, and p = (1 + #) / (B + 1), which is never 0.
    """
    rng = np.random.default_rng(seed)
    observed, drawn = 0.0, np.zeros(permutations)
    for a, b in zip(ours, theirs, strict=True):
        if min(len(a), len(b)) < 2:
            raise ValueError("at least two replies per prompt and side are needed")
        pool = [*a, *b]
        gram = np.array([[kernel(x, y) for y in pool] for x in pool])
        if not np.isfinite(gram).all():
            raise ValueError("the kernel gives a value that is not a number")
        observed += _discrepancy(gram, np.arange(len(pool)), len(a))
        drawn += [_discrepancy(gram, rng.permutation(len(pool)), len(a)) for _ in range(permutations)]
    count = len(ours)
    close = 1e-9 * max(1.0, abs(observed))
    return observed / count, (1 + int((drawn >= observed - close).sum())) / (permutations + 1)


def _discrepancy(gram: Floats, order: np.ndarray, first: int) -> float:
    """The unbiased statistic when the first ``first`` replies of an order are one side."""
    a, b = order[:first], order[first:]
    inside = [(gram[np.ix_(s, s)].sum() - gram[s, s].sum()) / (len(s) * (len(s) - 1)) for s in (a, b)]
    return float(sum(inside) - 2.0 * gram[np.ix_(a, b)].mean())


def block_test(ours: Floats, theirs: Floats, permutations: int, seed: int) -> tuple[float, float]:
    """Difference of the means of two sets of blocks (calls, hours), and its permutation p-value, two-sided.

    One value per block: log-probabilities within a call or an hour share its replica and its batch, so blocks are
    permuted and never single values. All splits are counted where there are at most 20,000, else ``permutations``
    random ones. With four blocks a side the smallest possible p is 2/70.
    """
    pool = np.concatenate([ours, theirs])
    if not np.isfinite(pool).all() or min(len(ours), len(theirs)) < 1:
        raise ValueError("every block needs a finite value")
    observed = float(theirs.mean() - ours.mean())

    def shifted(side: np.ndarray) -> float:
        inside = pool[side].mean()
        return abs(float((pool.sum() - inside * len(side)) / (len(pool) - len(side)) - inside))

    close = 1e-12 * max(1.0, abs(observed))
    if math.comb(len(pool), len(ours)) <= _EXACT:
        values = [shifted(np.array(side)) for side in combinations(range(len(pool)), len(ours))]
        return observed, sum(value >= abs(observed) - close for value in values) / len(values)
    rng = np.random.default_rng(seed)
    values = [shifted(rng.permutation(len(pool))[: len(ours)]) for _ in range(permutations)]
    return observed, (1 + sum(value >= abs(observed) - close for value in values)) / (permutations + 1)


def exchange_test(ours: Sequence[float], theirs: Sequence[float], seed: int = 0) -> tuple[float, bool]:
    """Two-sided p-value of "both are draws of one source" by the difference of means, and whether all splits were tried.

    Values are whole runs or documents, which are exchangeable under the null. With at most ``_SPLITS`` splits the test is exact;
    beyond, as many random ones with the observed one among them.
    """
    values = np.array([*ours, *theirs], dtype=np.float64)
    size, total = len(ours), len(values)
    if not size or size == total:
        return 1.0, True
    observed = abs(np.mean(ours) - np.mean(theirs))
    splits = math.comb(total, size)
    if splits <= _SPLITS:
        flat = chain.from_iterable(combinations(range(total), size))
        picked = np.fromiter(flat, dtype=np.int64, count=splits * size).reshape(splits, size)
        sums = values[picked].sum(1)
    else:
        rng = np.random.default_rng(seed)
        sums = np.array([rng.permutation(values)[:size].sum() for _ in range(_SPLITS // 10)])
        sums = np.append(sums, sum(ours))
    gaps = np.abs(sums / size - (values.sum() - sums) / (total - size))
    return float((gaps >= observed - 1e-12).mean()), splits <= _SPLITS
