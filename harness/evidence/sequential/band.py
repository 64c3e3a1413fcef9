"""Does a host's distance from the reference fit the band of honest arithmetic? Two e-processes, one for each answer.

For each request: D, the distance of what the host tells from the reference, and H, that of an honest stack computed here on
the same tokens; both in nats per token. The yardstick of a request is B = (H + mean of H so far) / 2: the reply's own text
says how much honest arithmetic may differ on it, and a reply on which it hardly differs is measured by the others as well.

    over:  null "given the past and the text, D / B is on average at most LEAST",
           e = mean over l of prod_r [1 + l (min(D / (LEAST B), CAP) - 1)]
    under: null "given the past and the text, min(D / (MOST B), 2) is on average at least 1",
           e = mean over l of prod_r [1 + l (1 - min(D / (MOST B), 2))]

The unit is the request, in plan order; Ville bounds the chance that either ever reaches 1/alpha under its null by alpha. No
single request multiplies the evidence by more than CAP. An honest host at the distance of the computed stack lies far inside
both. Not to be trusted where honest stacks lie further from each other than those that were computed: the band is theirs. What
lies between LEAST and MOST may be answered by neither.
"""

from __future__ import annotations

import numpy as np

from harness.evidence.clustered import Floats

#: A host is accused beyond this many times the honest distance, and cleared below ``MOST`` times it.
LEAST, MOST = 2.0, 4.0
CAP = 16.0
#: Bets are averaged, so that nobody chooses one after the fact.
BETS = (0.1, 0.3, 0.6, 0.9)
#: Distance, nats per token, under which told logarithms may differ by being rounded to two digits.
FLOOR = 2e-5


def yardstick(band: Floats) -> Floats:
    """B of every request, from the honest distance H of all requests in plan order."""
    so_far = np.cumsum(band) / np.arange(1, len(band) + 1)
    return np.maximum((band + so_far) / 2.0, FLOOR)


def log_over(distance: Floats, band: Floats) -> Floats:
    """Log evidence after each request that the host is further from the reference than ``LEAST`` times the band."""
    return _bet(np.minimum(distance / (LEAST * yardstick(band)), CAP) - 1.0)


def log_under(distance: Floats, band: Floats) -> Floats:
    """Log evidence after each request that the host is nearer than ``MOST`` times the band."""
    return _bet(1.0 - np.minimum(distance / (MOST * yardstick(band)), 2.0))


def first_reached(path: Floats, alpha: float) -> int:
    """The request, from 1, after which the evidence has reached 1/alpha; 0 if it never has."""
    reached = np.flatnonzero(path >= np.log(1.0 / alpha))
    return int(reached[0]) + 1 if len(reached) else 0


def _bet(gains: Floats) -> Floats:
    paths = [np.cumsum(np.log1p(bet * gains)) for bet in BETS]
    return np.logaddexp.reduce(paths, axis=0) - np.log(len(paths))  # type: ignore[no-any-return]
