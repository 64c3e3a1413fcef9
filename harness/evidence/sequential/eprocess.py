"""The e-process over a bank: evidence, in nats, that a host is not the reference, valid whenever one looks.

E_null = sum_m,g w_m,g prod_r [(1 - g) + g prod_t q_m / p_0] / sup over honest hosts of their likelihood over p_0's.
E_tol = sum_m,g w_m,g prod_r [(1 - g) + g prod_t q_m / ((1 - s) p_0 + s q_m)].

Null: every mixture, request by request, of the honest configurations that were computed, under any setting of the
sampler that is listed (E_null); every server that lies at most the share s of the way from p_0 towards each member
(E_tol). For each null P(sup_n E_n >= 1/alpha) <= alpha (Ville). BEYOND needs the smaller of both. The unit is the
request; requests need not be independent of each other, and prompts may be chosen from past replies. Not to be trusted
if replies are folded in another order than planned, if tokens are left out for what they are, or if a member was added
after the first reply.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from harness.errors import NumericsError
from harness.evidence.clustered import Floats
from harness.evidence.sequential.bank import Bank
from harness.evidence.sequential.ratios import TokenRatios, excesses, member_sums
from harness.evidence.sequential.supremum import settings_bound

#: More lost replies than this share make any verdict on the rest doubtful.
MOST_LOST = 0.01

_AT_ONCE = 512  # requests that are worked on at a time, so that memory does not grow with the audit
_FAR = 40.0  # nats beyond which 1 - g is nothing beside g e^s


@dataclass(slots=True)
class EProcess:
    """The state after some requests: a number per member and share, and a few numbers per request.

    ``numerators`` and ``tolerant`` are ``[members, shares]``. ``honest`` holds log p_j(r) - log p_0(r) per request, for the
    supremum. Folding the same requests in any number of steps gives the same bits.
    """

    bank: Bank
    numerators: Floats = field(init=False)
    tolerant: Floats = field(init=False)
    honest: list[Floats] = field(default_factory=list)  # per request, [settings, configurations]
    lost: int = 0

    def __post_init__(self) -> None:
        shape = self.bank.log_weight.shape
        self.numerators, self.tolerant = np.zeros(shape), np.zeros(shape)

    @property
    def requests(self) -> int:
        """Requests folded in so far."""
        return len(self.honest)

    def fold(self, ratios: TokenRatios) -> Path:
        """Fold further requests in, in plan order; returns the evidence after each of them."""
        plain, tolerant = member_sums(ratios, self.bank)
        lost = np.zeros(ratios.requests, dtype=bool)
        lost[list(ratios.lost)] = True
        path = Path(
            self._advance(self.numerators, plain, lost),
            self._advance(self.tolerant, tolerant, lost),
        )
        self.honest.extend(ratios.honest_requests())
        self.lost += int(lost.sum())
        return path

    def _advance(self, state: Floats, sums: Floats, lost: NDArray[np.bool_]) -> Floats:
        """Move a state on by requests, one by one; returns the log of the weighted sum after each of them."""
        shares = np.array(self.bank.shares)
        after = np.empty(len(sums))
        for start in range(0, len(sums), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            steps = _shared(sums[part], shares)
            steps[lost[part]] = np.log1p(-shares)  # as if the reply had been the least likely of all
            # added one by one, so that the cuts between calls leave no trace
            running = np.cumsum(np.concatenate([state[None], steps]), axis=0)[1:]
            weighted = (running + self.bank.log_weight).reshape(len(running), -1)
            peak = weighted.max(1)
            after[part] = peak + np.log(np.exp(weighted - peak[:, None]).sum(1))
            state[:] = running[-1]
        return after

    def dump(self) -> bytes:
        """The state as an array archive without pickle; ``resumed`` reads it. A few numbers per request."""
        held = io.BytesIO()
        np.savez_compressed(
            held, names=np.array(self.bank.names), weights=self.bank.log_weight, numerators=self.numerators,
            tolerant=self.tolerant, honest=np.array(self.honest), lost=np.array(self.lost),
        )  # fmt: skip
        return held.getvalue()

    @classmethod
    def resumed(cls, bank: Bank, state: bytes) -> EProcess:
        """Go on from a dumped state, bit for bit; raises NumericsError if it belongs to another bank."""
        process = cls(bank)
        with np.load(io.BytesIO(state), allow_pickle=False) as held:
            if tuple(held["names"]) != bank.names or not np.array_equal(held["weights"], bank.log_weight):
                raise NumericsError("this state belongs to another bank", fix="fold the stored replies again")
            process.numerators, process.tolerant = held["numerators"], held["tolerant"]
            process.honest, process.lost = list(held["honest"]), int(held["lost"])
        return process

    def log_e(self, requests: int | None = None, numerator: float | None = None) -> float:
        """Log E_null after some requests (all of them by default), for the value that the numerator had then."""
        if numerator is None:
            numerator = float(logsumexp(self.numerators + self.bank.log_weight))
        upto = self.honest[: self.requests if requests is None else requests]
        return numerator - (settings_bound(np.array(upto)) if upto else 0.0)

    def log_e_tolerant(self) -> float:
        """Log E_tol after all requests."""
        return float(logsumexp(self.tolerant + self.bank.log_weight))

    @property
    def too_many_lost(self) -> bool:
        """Whether so many replies were lost that the verdict may hang on them."""
        return self.lost > MOST_LOST * self.requests

    def first_crossing(self, path: Path, alpha: float, before: int = 0) -> int | None:
        """The number of the first request of a path after which both e-processes have reached 1/alpha, from 1; or None.

        ``before`` is the number of requests folded before the path began. The supremum is only taken where it can
        matter: it is at least the likelihood of p_0 itself.
        """
        bar = np.log(1.0 / alpha)
        honest = np.array(self.honest)
        vertices = np.maximum(honest.cumsum(0).max((1, 2)), 0.0) if len(honest) else np.zeros(0)
        hopeful = (path.log_tolerant >= bar) & (
            path.log_numerator - vertices[before : before + len(path.log_tolerant)] >= bar
        )
        for place in np.flatnonzero(hopeful):
            n = before + int(place) + 1
            if self.log_e(n, float(path.log_numerator[place])) >= bar:
                return n
        return None


@dataclass(frozen=True, slots=True)
class Path:
    """After each request: the log of the numerator over p_0's likelihood, and log E_tol."""

    log_numerator: Floats
    log_tolerant: Floats


def _shared(sums: Floats, shares: Floats) -> Floats:
    """log((1 - g) + g e^s) per request, member and share."""
    out = np.empty((*sums.shape, len(shares)))
    growth, far = np.exp(np.minimum(sums, _FAR)), sums > _FAR
    for place, share in enumerate(shares):
        out[:, :, place] = np.log((1.0 - share) + share * growth)
        out[:, :, place][far] = np.log(share) + sums[far]
    return out


def token_path(ratios: TokenRatios, bank: Bank) -> Path:
    """The same evidence after every *token*, as it may be watched in a streamed reply; no state is kept.

    A request in progress counts as it stands. ``[tokens]`` each. Lost and recut replies are not supported here.
    """
    if ratios.charges is not None:
        raise NumericsError("the charge of a text that was cut anew belongs to whole replies")
    if ratios.lost:
        raise NumericsError("a lost reply has no tokens to watch")
    shares = np.array(bank.shares)
    excess = excesses(ratios.members)
    before = np.diff(ratios.request, prepend=-1) != 0
    totals = [np.full(len(ratios.request), -np.inf) for _ in range(2)]
    for place, (column, u) in enumerate(zip(bank.column, bank.strength, strict=True)):
        ahead = np.log1p(u * excess[:, column])
        for total, step in zip(
            totals, (ahead, ahead - np.log1p(bank.tolerance[place] * u * excess[:, column])), strict=True
        ):
            inside = _within(step, before)
            for share, log_weight in zip(shares, bank.log_weight[place], strict=True):
                now = np.logaddexp(np.log1p(-share), np.log(share) + inside)
                ends = np.concatenate([[0.0], np.where(before[1:], now[:-1], 0.0)]).cumsum()
                np.logaddexp(total, ends + now + log_weight, out=total)
    return Path(*totals)


def _within(steps: Floats, first: NDArray[np.bool_]) -> Floats:
    """Running sums that begin anew with every request."""
    running = np.cumsum(steps)
    starts = np.flatnonzero(first)
    offset = np.zeros(len(steps))
    base = np.concatenate([[0.0], running])[starts]
    offset[:] = np.repeat(base, np.diff(np.concatenate([starts, [len(steps)]])))
    return running - offset
