"""What replies say of each alternative: ruled out, possible on which share of requests, or the best explanation."""

from __future__ import annotations

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
    """Log of half the reference and half the bank, over the reference: it may not profit from leaving out p_0."""
    return float(np.logaddexp(0.0, logsumexp(process.numerators + process.bank.log_weight)) - np.log(2.0))


def exclusions(process: EProcess, alpha: float) -> list[Exclusion]:
    """Per alternative, whether "every request was served by exactly this build" is refuted at level ``alpha``.

    E = (half p_0 + half bank) / prod q_k is an e-process under q_k. Exact builds exclude each other, so the builds that
    are left are a 1 - alpha set of causes without dividing alpha. It says nothing of other builds of the same bit width:
    never read it as "not quantized". The numerators' floor applies to q_k, too.
    """
    numerator, bar = _numerator(process), np.log(1.0 / alpha)
    totals = np.array(process.replies).sum(0) if process.replies else np.zeros(len(process.bank.alternatives))
    return [
        Exclusion(name, numerator - float(total), bool(numerator - total >= bar))
        for name, total in zip(process.bank.names, totals, strict=True)
    ]


def routing_shares(process: EProcess, alpha: float) -> list[RoutingShare]:
    """Per alternative, the 1 - alpha interval of the share of requests that it may have served, the rest honest.

    {pi : prod_r [(1 - pi) p_0(r) + pi q_k(r)] > alpha numerator}, an interval because the product is log-concave in pi.
    Valid jointly over alternatives. Assumes that requests are routed independently, to exactly this build or to the
    reference in fp32 arithmetic. It is the share of the audit's requests, not of the host's traffic.
    """
    bar = np.log(alpha) + _numerator(process)
    logs = np.array(process.replies) if process.replies else np.zeros((0, len(process.bank.alternatives)))
    found = []
    for place, name in enumerate(process.bank.names):
        low, high = _interval(logs[:, place], bar)
        found.append(RoutingShare(name, low, high))
    return found


def _interval(logs: Floats, bar: float) -> tuple[float, float]:
    """Where sum log((1 - pi) + pi e^l) exceeds a bar."""
    excess = np.expm1(np.minimum(logs, 600.0))

    def value(share: float) -> float:
        with np.errstate(divide="ignore"):
            return float(np.log1p(share * excess).sum())

    def slope(share: float) -> float:
        with np.errstate(divide="ignore"):
            return float((excess / np.maximum(1.0 + share * excess, 1e-300)).sum())

    best = 0.0 if slope(0.0) <= 0 else 1.0 if slope(1.0) >= 0 else _bisect(lambda share: slope(share) > 0, 0.0, 1.0)
    if value(best) <= bar:
        return float("nan"), float("nan")
    low = 0.0 if value(0.0) > bar else _bisect(lambda share: value(share) <= bar, 0.0, best)
    high = 1.0 if value(1.0) > bar else _bisect(lambda share: value(share) > bar, best, 1.0)
    return low, high


def _bisect(left: object, low: float, high: float) -> float:
    """The place up to which ``left`` holds."""
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if left(middle) else (low, middle)  # type: ignore[operator]
    return high


def explanations(process: EProcess) -> list[Explanation]:
    """Families by how well they explain the replies, the best first; equal probabilities before the first reply."""
    bank = process.bank
    scores = process.numerators + bank.log_weight
    families = sorted({one.family for one in bank.alternatives})
    of = np.array([families.index(bank.alternatives[c].family) for c in bank.column])
    totals = np.array([logsumexp(scores[of == f]) for f in range(len(families))])
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
