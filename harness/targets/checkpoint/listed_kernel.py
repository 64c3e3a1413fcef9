"""What a host tells of its tokens' probabilities against what a configuration gives them; runs in the isolated process only.

Distances are sums over the listed ids of q(v) log(q(v) / p(v)) - q(v) + p(v): no term is negative, and together they are at
most KL(q || p), whatever a list leaves out or a host rounds.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.targets.listed import PLACEHOLDER, Listed
from harness.targets.token_evidence import TokenEvidence

_LOWEST = -700.0  # e^-700 times any logarithm here is 0 in fp64
_NONE = 1e-12  # probability under which an id says nothing of a slope


def listed_logs(z: Tensor, listed: Listed) -> NDArray[np.float64]:
    """Log-probabilities of the listed ids under a configuration, ``[tokens, listed]``, -inf where nothing is listed.

    ``z`` are fp32 logits ``[tokens, ids]`` of the tokenizer's own ids.
    """
    ids = torch.from_numpy(np.clip(listed.ids, 0, z.shape[1] - 1)).to(z.device)
    found = z.gather(1, ids).double() - z.double().logsumexp(-1)[:, None]
    logs: NDArray[np.float64] = found.cpu().numpy()
    return np.where(_known(listed, z.shape[1]), logs, -np.inf)


def fill_told(logs: NDArray[np.float64], listed: Listed, rows: TokenEvidence) -> None:
    """How far what the host tells lies from a configuration, ``told``; NaN where nothing is listed."""
    told = np.where(np.isfinite(logs), np.nan_to_num(listed.logs, nan=-np.inf), -np.inf)
    rows["told"] = np.where(_any(listed), _distance(told, logs), np.nan)


def fill_band(logs: NDArray[np.float64], centre: NDArray[np.float64], listed: Listed, rows: TokenEvidence) -> None:
    """How far this configuration itself lies from the centre, over the same ids: what ``told`` would be if it were served."""
    rows["band"] = np.where(_any(listed), _distance(logs, centre), np.nan)


def fill_claims(logs: NDArray[np.float64], listed: Listed, silent: NDArray[np.bool_], rows: TokenEvidence) -> None:
    """What the host claims of the token that it sent, beside the centre's ``logs``: see the fields of ``EVIDENCE``.

    A token of which only a placeholder is told (-9999) is not listed: OpenAI's form says so of tokens outside the list. What
    cannot be named counts with the silent ids, because a reply that holds it is not scored.
    """
    known = np.isfinite(logs)
    told = np.where(known, np.nan_to_num(listed.logs, nan=-np.inf), -np.inf)
    quiet = known & silent[np.clip(listed.ids, 0, len(silent) - 1)]
    loud = np.where(known & ~quiet, told, -np.inf)
    unnamed = np.where((listed.ids < 0) & ~np.isnan(listed.logs), listed.logs, -np.inf)
    # ids that are told alike, as rounded ones often are, count together
    best = loud.max(-1, initial=-np.inf)
    alike = (np.exp(loud) * (loud >= best[:, None])).sum(-1)
    some = _any(listed)
    rows["said"] = np.where(known[:, 0], told[:, 0], np.nan)
    rows["surest"] = np.where(np.isfinite(best), np.log(np.maximum(alike, 1e-300)), np.nan)
    rows["is_surest"] = known[:, 0] & (loud[:, 0] >= best)
    hushed = (np.exp(told) * quiet).sum(-1) + np.exp(unnamed).sum(-1)
    rows["hushed"] = np.where(some, hushed, np.nan)
    rows["unlisted"] = np.where(some, np.clip(1.0 - np.exp(loud).sum(-1) - hushed, 0.0, 1.0), np.nan)
    others = np.where(known[:, 1:], told[:, 1:], np.inf).min(-1, initial=np.inf)  # not the token itself: it is drawn
    rows["smallest"] = np.where(np.isfinite(others), np.exp(others), np.nan)
    rows["count"] = np.where(some, known.sum(-1), np.nan)
    rows["slope"] = _moments(told, np.where(known, logs, -np.inf))


def _distance(q: NDArray[np.float64], p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum of q log(q / p) - q + p over ids, from logarithms."""
    low_q, low_p = np.maximum(q, _LOWEST), np.maximum(p, _LOWEST)
    terms = np.exp(low_q) * (low_q - low_p) - np.exp(low_q) + np.exp(low_p)
    return np.where(np.isfinite(p), terms, 0.0).sum(-1)  # type: ignore[no-any-return]


def _moments(told: NDArray[np.float64], own: NDArray[np.float64]) -> NDArray[np.float64]:
    """Within a place, weighted by the centre's probability: variance of own logs, covariance with the told ones, variance of
    these, ``[tokens, 3]``. Told logs that are a multiple of the own ones betray another temperature.
    """
    both = (np.exp(told) > _NONE) & (np.exp(own) > _NONE)
    weight = np.where(both, np.exp(own), 0.0)
    total = np.maximum(weight.sum(-1, keepdims=True), _NONE)
    x, y = np.where(both, own, 0.0), np.where(both, told, 0.0)
    x = np.where(both, x - (weight * x).sum(-1, keepdims=True) / total, 0.0)
    y = np.where(both, y - (weight * y).sum(-1, keepdims=True) / total, 0.0)
    return np.stack([(weight * x * x).sum(-1), (weight * x * y).sum(-1), (weight * y * y).sum(-1)], axis=-1)


def _known(listed: Listed, ids: int) -> NDArray[np.bool_]:
    """Which places hold an id of this tokenizer with a value."""
    inside = (listed.ids >= 0) & (listed.ids < ids) & ~np.isnan(listed.logs)
    inside[:, 0] &= listed.logs[:, 0] > PLACEHOLDER
    return np.array(inside, dtype=np.bool_)


def _any(listed: Listed) -> NDArray[np.bool_]:
    return np.array((listed.ids >= 0).any(-1), dtype=np.bool_)
