"""The best that honest hosts can do: the supremum of their likelihood over all ways of sharing traffic among them."""

from __future__ import annotations

import numpy as np

from harness.evidence.clustered import Floats

_SLACK = 0.01  # nats by which the bound may exceed the supremum
_EXCHANGES = 200
_HALVINGS = 40


def mixture_bound(logs: Floats) -> float:
    """An upper bound on sup over w of sum_r log sum_j w_j exp(logs[r, j]), ``[requests, configurations]``.

    The supremum of the whole product: dividing by it is universal inference (Wasserman, Ramdas and Balakrishnan 2020),
    so that E is at most the numerator over the likelihood of the true weights, whatever they are. A fit that has not
    converged would understate it and overstate the evidence; so the gap of concavity, max_j sum_r [p_j(r) / sum_i w_i
    p_i(r) - 1], is added: the result is never too small, and less than 0.02 nat too large unless the fit stalls.
    Its vertices are the fixed configurations. Assumes replicas drawn independently per request with constant weights.
    """
    if not len(logs) or logs.shape[1] == 1:
        return float(logs.sum())
    peaks = logs.max(1)
    parts = np.exp(logs - peaks[:, None])
    weights = np.zeros(logs.shape[1])
    weights[int(logs.sum(0).argmax())] = 1.0
    # a request that the best configuration all but rules out would make its ratios overflow
    weights = 0.999 * weights + 0.001 / len(weights)
    for _ in range(_EXCHANGES):
        ratios = parts / (parts @ weights)[:, None]
        gradient = ratios.sum(0) - len(parts)
        if gradient.max() <= _SLACK:
            break
        held = np.flatnonzero(weights)
        gain, lose = int(gradient.argmax()), int(held[gradient[held].argmin()])
        weights = _exchange(parts, weights, gain, lose)
    mixed = parts @ weights
    gap = float(((parts / mixed[:, None]).sum(0) - len(parts)).max())
    return float((np.log(mixed) + peaks).sum()) + max(gap, 0.0)


def _exchange(parts: Floats, weights: Floats, gain: int, lose: int) -> Floats:
    """Move weight from one configuration to another as far as the likelihood rises (its slope falls: bisection)."""
    ahead = parts[:, gain] - parts[:, lose]
    mixed = parts @ weights
    low, high = 0.0, float(weights[lose])
    if float((ahead / np.maximum(mixed + high * ahead, 1e-300)).sum()) >= 0.0:
        low = high
    for _ in range(_HALVINGS):
        if low == high:
            break
        middle = 0.5 * (low + high)
        rising = float((ahead / np.maximum(mixed + middle * ahead, 1e-300)).sum()) > 0.0
        low, high = (middle, high) if rising else (low, middle)
    moved = weights.copy()
    moved[gain] += low
    moved[lose] = 0.0 if low == weights[lose] else moved[lose] - low
    return moved


def settings_bound(logs: Floats) -> float:
    """The largest ``mixture_bound`` over settings of the sampler, ``[requests, settings, configurations]``.

    A setting whose best configuration, raised by what mixing can add at most, stays below another's is left out:
    a mixture of J gains at most the sum over requests of the log of the mean ratio, never more than n ln J.
    """
    if not len(logs):
        return 0.0
    ceilings = logs.max(2).sum(0)  # the request-wise maximum: above every mixture
    order = np.argsort(-ceilings)
    best = -np.inf
    for setting in order:
        if ceilings[setting] <= best:
            break
        best = max(best, mixture_bound(logs[:, setting]))
    return best
