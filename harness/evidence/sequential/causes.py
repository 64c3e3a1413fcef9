"""What replies say of each alternative: ruled out, possible on which share of requests, or the best explanation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from harness.evidence.clustered import Floats
from harness.evidence.sequential.eprocess import EProcess

_HALVINGS = 60


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Whether one exact build can have served every request: log of the evidence against it, in nats."""

    name: str
    log_e: float
    excluded: bool


@dataclass(frozen=True, slots=True)
class RoutingShare:
    """The shares of the audit's requests that one exact build may have served; empty (NaN) where none is possible."""

    name: str
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """How well a family explains the replies: its probability among the families, and its best alternative.

    ``lead`` is the log of the family's evidence over the single best member of any other family, in nats: an e-value
    against that member, and against everything that the replies make less likely.
    """

    family: str
    best: str
    probability: float
    share: float
    strength: float
    lead: float


def _numerator(process: EProcess) -> float:
    """Log of half the reference and half the bank, over the reference: it may not profit from leaving out p_0.

    Like the members on all traffic, the reference pays for every lost reply: a build may lose fewer of them.
    """
    alone = process.lost * float(np.log1p(-process.bank.shares[0]))
    return float(np.logaddexp(alone, logsumexp(process.numerators + process.bank.log_weight)) - np.log(2.0))


def exclusions(process: EProcess, builds: Floats, names: Sequence[str], alpha: float) -> list[Exclusion]:
    """Per build, whether "every request was served by exactly this build" is refuted at level ``alpha``.

    ``builds`` holds log q_k - log p_0 per request and setting of the sampler, ``[requests, settings, builds]``. E = (half
    p_0 + half bank) / sup over settings of prod q_k is an e-process under q_k at any one setting. Exact builds exclude each
    other, so those that are left are a 1 - alpha set of causes without dividing alpha. It says nothing of other builds of
    the same bit width: never read it as "not quantized".
    """
    numerator, bar = _numerator(process), np.log(1.0 / alpha)
    best = builds.sum(0).max(0) if len(builds) else np.zeros(len(names))
    return [
        Exclusion(name, numerator - float(total), bool(numerator - total >= bar))
        for name, total in zip(names, best, strict=True)
    ]


def routing_shares(process: EProcess, builds: Floats, names: Sequence[str], alpha: float) -> list[RoutingShare]:
    """Per build, the 1 - alpha interval of the share of requests that it may have served, the rest honest.

    {pi : sup over s and j of prod_r [(1 - pi) p_js(r) + pi q_ks(r)] > alpha numerator}: the honest rest is any one of the
    configurations that were computed, at the build's setting of the sampler; for each the product is log-concave in pi, and the
    interval is the hull. Valid jointly over builds. Assumes that requests are routed independently. It is the share of the
    audit's requests, not of the host's traffic. ``builds`` as for ``exclusions``, its settings those of the process's
    honest configurations.
    """
    bar = float(np.log(alpha)) + _numerator(process)
    if not len(builds):
        return [RoutingShare(name, 0.0, 1.0) for name in names]
    honest = np.array(process.honest)
    found = []
    for place, name in enumerate(names):
        parts = [
            _interval(honest[:, setting, config], builds[:, setting, place], bar)
            for setting in range(builds.shape[1])
            for config in range(honest.shape[2])
        ]
        possible = [part for part in parts if not np.isnan(part[0])]
        low = min((part[0] for part in possible), default=float("nan"))
        high = max((part[1] for part in possible), default=float("nan"))
        found.append(RoutingShare(name, low, high))
    return found


def _interval(honest: Floats, build: Floats, bar: float) -> tuple[float, float]:
    """The pi for which sum log((1 - pi) e^honest + pi e^build) exceeds a bar; NaN where there is none."""
    if float(np.maximum(honest, build).sum()) <= bar:
        return float("nan"), float("nan")

    def value(pi: float) -> float:
        with np.errstate(divide="ignore"):
            return float(np.logaddexp(np.log1p(-pi) + honest, np.log(pi) + build).sum())

    def rising(pi: float) -> bool:
        with np.errstate(divide="ignore"):
            whole = np.logaddexp(np.log1p(-pi) + honest, np.log(pi) + build)
        with np.errstate(over="ignore"):
            return float((np.exp(build - whole) - np.exp(honest - whole)).sum()) > 0

    best = _bisect(rising, 0.0, 1.0)
    if value(best) <= bar:
        return float("nan"), float("nan")
    low = 0.0 if value(0.0) > bar else _bisect(lambda pi: value(pi) <= bar, 0.0, best)
    high = 1.0 if value(1.0) > bar else _bisect(lambda pi: value(pi) > bar, best, 1.0)
    return low, high


def _bisect(left: Callable[[float], bool], low: float, high: float) -> float:
    """The place up to which ``left`` holds."""
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if left(middle) else (low, middle)
    return high


def explanations(process: EProcess) -> list[Explanation]:
    """Families by how well they explain the replies, the best first.

    Before the first reply all are equally probable, whatever weight the bank gives them to be found by.
    """
    bank = process.bank
    scores = process.numerators + bank.log_weight
    families = sorted({one.family for one in bank.alternatives})
    of = np.array([families.index(bank.alternatives[c].family) for c in bank.column])
    totals = np.array(
        [logsumexp(scores[of == f]) - np.log(bank.family_weight(families[f])) for f in range(len(families))]
    )
    chances = np.exp(totals - logsumexp(totals))
    found = []
    for f in np.argsort(-totals, kind="stable"):
        inside = np.flatnonzero(of == f)
        place, share = np.unravel_index(int(process.numerators[inside].argmax()), process.numerators[inside].shape)
        member = inside[place]
        others = process.numerators[of != f]
        lead = float(totals[f] - others.max()) if len(others) else float("inf")
        found.append(
            Explanation(
                families[f],
                bank.names[bank.column[member]],
                float(chances[f]),
                bank.shares[int(share)],
                float(bank.strength[member]),
                lead,
            )
        )
    return found
