"""What an audit will cost before it is made, and what a given audit would have missed.

The log of the evidence of a matched build is close to a Brownian motion with drift KL and variance 2 KL per token, so the
tokens until it reaches b nats are inverse Gaussian: tokens x KL ~ IG(b, b^2 / 2), whatever the KL. With a part of the
traffic only, evidence comes in jumps; requests step by log(1 - g + g e^R) for every share g of the bank, with R normal, and are
drawn a few thousand times from a fixed seed.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from harness.evidence.clustered import Floats
from harness.evidence.sequential.band import first_reached, log_over
from harness.evidence.sequential.bank import SHARES, Bank
from harness.evidence.sequential.recut import MOST_PER_REPLY

_NODES = 96
#: Replies can be empty: no plan rests on a single one.
_LEAST = 2.0
_RUNS = 2000
_DRAWN, _LONGEST = 200, 2000  # audits by log-probabilities that are drawn, and requests in each
_BLOCK = 64
_MOST = 20_000  # requests beyond which nobody plans


@dataclass(frozen=True, slots=True)
class Need:
    """Requests of a fixed length until a build is found with the stated probability, and their tokens."""

    requests: float
    tokens: float
    barrier: float  # nats that the evidence has to gain


def barrier(bank: Bank, place: int, share: float, alpha: float, null: float = 1.0) -> float:
    """Nats that one alternative has to gain: ln(1/alpha), what its weight in the bank costs, and what the null takes.

    ``null`` is the price of dividing by a supremum over honest hosts, about (J - 1)/2 ln n; 1 nat for two of them.
    """
    strong = int(np.flatnonzero(bank.column == place)[0])
    nearest = int(np.abs(np.log(np.array(bank.shares) / share)).argmin())
    return math.log(1.0 / alpha) - float(bank.log_weight[strong, nearest]) + null


def requests_needed(
    divergence: float,
    length: float,
    barrier: float,
    power: float,
    share: float = 1.0,
    tolerance: float = 0.0,
    most: float = _MOST,
    charge: float = 0.0,
) -> Need:
    """Requests of ``length`` scored tokens until a build is found with probability ``power``; infinite beyond ``most``.

    ``divergence`` is KL(build || reference) in nats per token (``kl_cand_ref``, over the whole vocabulary: not the other
    direction, and not a mean log ratio of a few replies); ``barrier`` that of the share nearest to ``share``. The tolerance
    costs a factor 1 / (1 - s)^2 for near builds; far ones pay less. ``charge`` is what each reply pays where the host tells no
    ids, in nats; a reply then gains at most ``MOST_PER_REPLY``. Trust it to a quarter or so; it never says fewer than
    two requests.
    """
    from scipy.stats import invgauss  # noqa: PLC0415 - scipy.stats is slow to import

    if not divergence > 0:
        return Need(math.inf, math.inf, barrier)
    honest, served = (_charged(_ratio(divergence, length, tolerance, side), charge) for side in (-1.0, 1.0))
    if served[0] <= 0.0:
        return Need(math.inf, math.inf, barrier)
    if share >= 1.0:
        mean, shape = barrier / served[0], barrier**2 / served[1]
        requests = float(invgauss.ppf(power, mean / shape, scale=shape))
    else:
        requests = float(np.quantile(_drawn(honest, served, share, barrier, most), power, method="higher"))
    requests = max(requests, _LEAST)
    return Need(requests, requests * length, barrier)


def smallest_divergence(
    tokens: float,
    length: float,
    barrier: float,
    power: float,
    share: float = 1.0,
    tolerance: float = 0.0,
    charge: float = 0.0,
) -> float:
    """The divergence, in nats per token, from which on a build would have been found within ``tokens``: the MDE."""
    low, high, most = 1e-9, 50.0, max(tokens / length, _LEAST)

    def enough(divergence: float) -> bool:
        return requests_needed(divergence, length, barrier, power, share, tolerance, most, charge).tokens <= tokens

    if not tokens > 0 or not enough(high):
        return math.inf
    for _ in range(60 if share >= 1.0 else 20):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _ratio(divergence: float, length: float, tolerance: float, side: float) -> tuple[float, float]:
    """Mean and variance of a reply's log ratio to the edge of the tolerance, for a build (1) or the reference (-1).

    Per token, log(q/p) is taken as normal with mean KL or minus KL and variance 2 KL.
    """
    nodes, weights = _normal_nodes()
    ahead = side * divergence + math.sqrt(2.0 * divergence) * nodes
    if tolerance:
        ahead = ahead - np.logaddexp(math.log1p(-tolerance), math.log(tolerance) + ahead)
    mean = float(weights @ ahead)
    return length * mean, length * (float(weights @ ahead**2) - mean**2)


def _charged(ratio: tuple[float, float], charge: float) -> tuple[float, float]:
    """A reply's log ratio without ids: capped, and less its charge."""
    return ratio if not charge else (min(ratio[0], MOST_PER_REPLY) - charge, ratio[1])


@functools.cache
def _normal_nodes() -> tuple[Floats, Floats]:
    """Places and weights that integrate over a standard normal."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    return nodes, weights / weights.sum()


def _drawn(
    honest: tuple[float, float], served: tuple[float, float], share: float, barrier: float, most: float
) -> Floats:
    """Requests until the bank's shares together reach the barrier, per simulated audit; infinite beyond ``most``."""
    rng = np.random.default_rng(1)
    grid = np.array(SHARES)
    weights = np.array([0.5, *[0.5 / (len(grid) - 1)] * (len(grid) - 1)])
    nearest = int(np.abs(np.log(grid / share)).argmin())
    state = np.broadcast_to(np.log(weights / weights[nearest]), (_RUNS, len(grid))).copy()
    found, passed = np.full(_RUNS, math.inf), 0
    while np.isinf(found).any() and passed < most:
        own = rng.random((_RUNS, _BLOCK)) < share
        noise = rng.standard_normal((_RUNS, _BLOCK))
        ratio = np.where(own, served[0] + math.sqrt(served[1]) * noise, honest[0] + math.sqrt(honest[1]) * noise)
        steps = np.logaddexp(np.log1p(-grid)[:, None, None], np.log(grid)[:, None, None] + ratio)
        paths = steps.cumsum(-1) + state.T[:, :, None]
        over = np.logaddexp.reduce(paths, axis=0) >= barrier
        first = np.where(over.any(1), over.argmax(1) + 1.0 + passed, math.inf)
        found = np.minimum(found, first)
        state, passed = paths[:, :, -1].T, passed + _BLOCK
    return np.where(found <= most, found, math.inf)


def requests_over_band(
    distance: Floats, band: Floats, alpha: float, power: float, share: float = 1.0, seed: int = 1
) -> float:
    """Requests within which told log-probabilities accuse, with the given power; infinite if ``_LONGEST`` are not enough.

    By drawing replies anew from a few that were measured: ``distance`` and ``band`` are those of a build and of an honest
    stack, per reply; a host serves the build on ``share`` of its requests. Trust it as an order of size: how much replies
    differ is known from the measured ones alone.
    """
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(_DRAWN):
        place = rng.integers(0, len(band), _LONGEST)
        served = rng.random(_LONGEST) < share
        path = log_over(np.where(served, distance[place], band[place]), band[place])
        found.append(first_reached(path, alpha) or math.inf)
    return float(np.quantile(found, power, method="inverted_cdf"))
