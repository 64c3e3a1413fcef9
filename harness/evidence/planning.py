"""What an audit will cost before it is made, and what a given audit would have missed.

The log of the evidence of a matched build is close to a Brownian motion with drift KL and variance 2 KL per token, so the
tokens until it reaches b nats are inverse Gaussian: tokens x KL ~ IG(b, b^2 / 2), whatever the KL. With a part of the
traffic only, requests step by log(1 - pi + pi e^R), with R normal around plus or minus KL x length.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from harness.evidence.sequential.bank import Bank

_NODES = 96
#: Replies can be empty: no plan rests on a single one.
_LEAST = 2.0


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
    divergence: float, length: float, barrier: float, power: float, share: float = 1.0, tolerance: float = 0.0
) -> Need:
    """Requests of ``length`` scored tokens until a build is found with probability ``power``.

    ``divergence`` is KL(build || reference) in nats per token (``kl_cand_ref``, over the whole vocabulary: not the other
    direction, and not a mean log ratio of a few replies). The tolerance costs a factor 1 / (1 - s)^2 for near builds; far
    ones pay less. Trust it to a quarter or so while it says more than a few requests; it never says fewer than two.
    """
    from scipy.stats import invgauss  # noqa: PLC0415 - scipy.stats is slow to import

    drift, variance = _steps(divergence * length * (1.0 - tolerance) ** 2, share)
    if not drift > 0:
        return Need(math.inf, math.inf, barrier)
    mean, shape = barrier / drift, barrier**2 / variance
    requests = max(float(invgauss.ppf(power, mean / shape, scale=shape)), _LEAST)
    return Need(requests, requests * length, barrier)


def smallest_divergence(
    tokens: float, length: float, barrier: float, power: float, share: float = 1.0, tolerance: float = 0.0
) -> float:
    """The divergence, in nats per token, from which on a build would have been found within ``tokens``: the MDE."""
    low, high = 1e-9, 50.0
    if not tokens > 0 or requests_needed(high, length, barrier, power, share, tolerance).tokens > tokens:
        return math.inf
    for _ in range(80):
        middle = math.sqrt(low * high)
        enough = requests_needed(middle, length, barrier, power, share, tolerance).tokens <= tokens
        low, high = (low, middle) if enough else (middle, high)
    return high


def _steps(gain: float, share: float) -> tuple[float, float]:
    """Mean and variance of one request's step when a build of ``gain`` nats per request serves ``share`` of them."""
    if share >= 1.0:
        return gain, 2.0 * gain
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    weights = weights / weights.sum()
    steps = [
        np.logaddexp(math.log1p(-share), math.log(share) + side * gain + math.sqrt(2.0 * gain) * nodes)
        for side in (-1, 1)
    ]
    mean = float((1 - share) * (weights @ steps[0]) + share * (weights @ steps[1]))
    second = float((1 - share) * (weights @ steps[0] ** 2) + share * (weights @ steps[1] ** 2))
    return mean, second - mean**2
