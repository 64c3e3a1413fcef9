"""Evidence for alternatives that nobody listed: the reference tilted by rank, and bets on where tokens fall in it.

Both are numerators like any other member: densities that integrate to one under the reference. They see that something
is wrong, never what, and need far more tokens than a listed build; 8-bit changes stay invisible to them.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtr

from harness.evidence.clustered import Floats

_BINS = 16
_PRIOR = 8.0  # pseudo-counts per bin: a timid bettor loses little where there is nothing to win


def rank_tilts(log_rank: Floats, log_means: Floats, tilts: tuple[float, ...]) -> Floats:
    """Log ratios to p_0 of q(v) proportional to p_0(v) rank(v)^tilt, ``[tokens, tilts]``.

    ``log_rank`` of the tokens that came, ``log_means`` the log of the mean of rank^tilt under p_0, ``[tokens, tilts]``.
    Positive tilts are hosts that reach too far down the ranking, as damaged weights do.
    """
    ratios: Floats = log_rank[:, None] * np.array(tilts) - log_means
    return ratios


def place_bets(above: Floats, tied: Floats, seed: int) -> Floats:
    """Log of the capital gained at each token by betting on its randomised place in the reference, ``[tokens]``.

    u = above + U tied is uniform under p_0 (the randomised probability integral transform over ids in order of rank), U
    drawn from ``seed``, which must be fixed before the first reply. The bettor predicts u by the smoothed histogram of
    its past: an e-process against every departure from uniform, good after hundreds of tokens.
    """
    if np.isnan(above).any() or np.isnan(tied).any():
        raise ValueError("a place that is not a number cannot be bet on")
    u = above + np.random.default_rng(seed).random(len(above)) * tied
    bins = np.clip((u * _BINS).astype(np.int64), 0, _BINS - 1)
    counts = np.full(_BINS, _PRIOR)
    gains = np.empty(len(bins))
    for t, place in enumerate(bins):
        gains[t] = math.log(counts[place] * _BINS / counts.sum())
        counts[place] += 1.0
    return gains


def conditional_z(values: Floats, means: Floats, variances: Floats) -> tuple[float, float]:
    """Z of a sum of values whose conditional mean and variance under p_0 are known at each token, and its two-sided p.

    sum (x_t - E_t) / sqrt(sum Var_t), for surprisal or log rank: centred exactly, without any sample of the reference
    (a rank test with m local samples per prompt is the same idea with noise added). A martingale central limit theorem;
    for one look at a number of tokens fixed beforehand, at least a few hundred. Honest rounding moves it, too: a small p
    from 10,000 tokens is no accusation.
    """
    spread = float(np.sum(variances))
    if math.isnan(spread) or np.isnan(values).any() or np.isnan(means).any():
        raise ValueError("a value, mean or variance is not a number")
    if not spread > 0:
        return 0.0, 1.0
    z = float(np.sum(values - means)) / math.sqrt(spread)
    return z, 2.0 * float(ndtr(-abs(z)))
