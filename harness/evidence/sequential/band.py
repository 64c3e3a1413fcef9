"""Does a host's distance from the reference fit the band of honest arithmetic? Two e-processes, one for each answer.

For each request: D, the distance of what the host tells from the reference, and H, that of an honest stack computed here on
the same tokens; both in nats per token. X = D / (D + H) lies between 0 and 1, and is 1/2 on average where both come from the
same arithmetic, however heavy their tails: one token on which everything turns may fall to either. A request is *far* if D is
more than ``FAR`` times both H and the mean of H so far, which takes ``SOON`` requests to be known.

    over:  null "given the past, X is on average at most 2/3, as at twice the band, and a request is far with probability at
           most ``RARE``", e = half the mean over l of prod_r [1 + l (X - 2/3)] + half the mean over m of
           prod_r [1 + m (far - RARE)]
    under: null "given the past, X is on average at least 4/5", as at four times the band,
           e = mean over l of prod_r [1 + l (4/5 - X)]

The unit is the request, in plan order; Ville bounds the chance that either ever reaches 1/alpha under its null by alpha. The
first half finds a host that is a little too far all the time, the second one that is very far now and then. Not to be trusted
where honest stacks lie further from each other than those that were computed: the band is theirs. What lies between may be
answered by neither; and *under* speaks of most requests: a few far ones leave it where it is, so that whoever clears a host
must look at the mean distance, too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.evidence.clustered import Floats

#: A host is accused beyond this many times the honest distance, and cleared below ``MOST`` times it.
LEAST, MOST = 2.0, 4.0
#: Bets, as parts of the largest that leaves something; averaged, so that nobody chooses one after the fact.
BETS = (0.2, 0.5, 0.8, 0.97)
#: Distance, nats per token, under which told logarithms may differ by being rounded to two digits.
FLOOR = 2e-5
FAR, RARE, SOON = 32.0, 0.02, 4
FAR_BETS = (2.0, 8.0, 25.0)


def log_over(distance: Floats, band: Floats) -> Floats:
    """Log evidence after each request that the host is further from the reference than ``LEAST`` times the band."""
    edge = LEAST / (LEAST + 1.0)
    steadily = _bet(_part(distance, band) - edge, [part / edge for part in BETS])
    so_far = np.cumsum(band) / np.arange(1, len(band) + 1)
    far = distance > FAR * np.maximum(np.maximum(band, so_far), FLOOR)
    far[:SOON] = False
    gains = np.where(np.arange(len(band)) < SOON, 0.0, far - RARE)
    return np.logaddexp(steadily, _bet(gains, FAR_BETS)) - np.log(2.0)  # type: ignore[no-any-return]


def log_under(distance: Floats, band: Floats) -> Floats:
    """Log evidence after each request that the host is nearer than ``MOST`` times the band."""
    edge = MOST / (MOST + 1.0)
    return _bet(edge - _part(distance, band), [part / (1.0 - edge) for part in BETS])


def first_reached(path: Floats, alpha: float) -> int:
    """The request, from 1, after which the evidence has reached 1/alpha; 0 if it never has."""
    reached = np.flatnonzero(path >= np.log(1.0 / alpha))
    return int(reached[0]) + 1 if len(reached) else 0


def _part(distance: Floats, band: Floats) -> Floats:
    part: Floats = distance / (distance + np.maximum(band, FLOOR))
    return part


def _bet(gains: Floats, bets: Sequence[float]) -> Floats:
    paths = [np.cumsum(np.log1p(bet * gains)) for bet in bets]
    return np.logaddexp.reduce(paths, axis=0) - np.log(len(paths))  # type: ignore[no-any-return]
