"""Was a text drawn from the probabilities that the host tells? An e-process over tokens, given what was told before each.

Null: each audible token is drawn from the told distribution, conditional on an audible one. Under it both have mean at most 1:

    1 + l (hit - p)      hit: the token is the likeliest one, p: its told probability; bets l in both directions
    q(v) / s(v)          q: the reference or a build, s: what is told of the token that came

Told lists are cut, so that the mass of silent ids is known up to what is not listed: every bet takes the bound that helps
the host. The unit is the token, given its past (a martingale); requests need not be independent. It says nothing of the host's
weights: whoever serves other weights and tells of these is not found here, nor is who tells nothing.
"""

from __future__ import annotations

import numpy as np

from harness.evidence.clustered import Floats

BETS = (0.05, 0.15, 0.4, 0.8)
#: Silent mass outside a list: at most this, and as much as a few more ids of the smallest listed probability.
SPARE, SPARE_IDS = 1e-2, 2.0
#: Share of the told distribution in every ratio: one token costs at most ln(1e3).
FLOOR = 1e-3


def spare_mass(unlisted: Floats, smallest: Floats, hushed: Floats, silent: Floats) -> Floats:
    """The most that silent ids outside a list are taken to have: what the reference gives them beyond the listed ones, twice,
    and a little more. Hosts leave the end of a reply out of their lists.
    """
    more = 2.0 * np.maximum(silent - hushed, 0.0) + SPARE + SPARE_IDS * np.nan_to_num(smallest, nan=1.0)
    return np.minimum(unlisted, more)


def log_forged(
    hit: Floats, surest: Floats, said: Floats, hushed: Floats, spare: Floats, builds: Floats, *, lists: bool = True
) -> Floats:
    """Log evidence after each token that the text was not drawn from what was told.

    Args:
        hit: whether the token is the likeliest audible one, ``[tokens]``.
        surest: told probability of the likeliest audible id, ``[tokens]``.
        said: told log-probability of the token that came, NaN where it is not listed and may have any, ``[tokens]``.
        hushed: told mass of listed silent ids, ``[tokens]``.
        spare: bound on the mass of silent ids outside the list, ``[tokens]``.
        lists: whether lists hold more than the token itself, so that which id is the likeliest does not hang on the draw.
        builds: log-probabilities of the token under builds, conditional on an audible one, ``[tokens, builds]``.

    """
    audible = np.maximum(1.0 - hushed, 1e-9)
    low = np.clip(surest / audible, 0.0, 1.0)
    high = np.clip(surest / np.maximum(audible - spare, 1e-9), 0.0, 1.0)
    paths = [np.cumsum(np.log1p(lists * bet * (hit - high))) for bet in BETS]
    paths += [np.cumsum(np.log1p(lists * bet * (low - hit))) for bet in BETS]
    own = np.minimum(np.nan_to_num(said) - np.log(np.maximum(audible - spare, 1e-9)), 0.0)
    ratios = np.logaddexp(np.log1p(-FLOOR) + builds - own[:, None], np.log(FLOOR))
    paths += list(np.cumsum(ratios, axis=0).T)
    weights = np.log([0.5 / (2 * len(BETS))] * (2 * len(BETS)) + [0.5 / max(builds.shape[1], 1)] * builds.shape[1])
    return np.logaddexp.reduce(np.array(paths) + weights[:, None], axis=0)  # type: ignore[no-any-return]
