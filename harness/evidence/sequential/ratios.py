"""Log ratios of tokens and the requests that they belong to: what every sequential test is fed with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.errors import NumericsError
from harness.evidence.clustered import Floats, Ints
from harness.evidence.sequential.bank import Bank
from harness.evidence.sequential.recut import MOST_PER_REPLY

#: No float tells ratios beyond this apart; a token that the reference all but rules out weighs no more.
_MOST = 60.0
_TOGETHER = 8  # ratios that are multiplied before their logarithm is taken
_AT_ONCE = 1 << 14  # tokens that are worked on at a time, so that memory does not grow with the audit


@dataclass(frozen=True, slots=True)
class Charges:
    """Nats per reply: what members pay, ``[alternatives]``, and honest configurations get, ``[settings, configurations]``."""

    members: Floats
    settings: Floats

    def __post_init__(self) -> None:
        if not (self.members >= 0).all() or not (self.settings >= 0).all():
            raise NumericsError("a charge is not a number, or negative")


@dataclass(frozen=True, slots=True)
class TokenRatios:
    """Scored tokens in plan order, as log ratios to the reference in fp32 arithmetic.

    ``request`` is the number of each token's request, 0 to ``requests`` - 1, never falling; a request without scored
    tokens is an empty reply, and ``lost`` requests have no reply at all. ``members`` holds log q_k - log p_0 per
    alternative, ``honest`` log p_j - log p_0 per honest configuration and setting of the sampler,
    ``[tokens, settings, configurations]``; its first entry is p_0 itself and 0. ``charges`` are nats that each reply costs
    a member, and gives an honest configuration, because its text was cut into ids anew (see ``recut.py``).
    """

    requests: int
    request: Ints
    members: Floats
    honest: Floats
    lost: tuple[int, ...] = ()
    charges: Charges | None = None

    def __post_init__(self) -> None:
        tokens = len(self.request)
        if len(self.members) != tokens or len(self.honest) != tokens:
            raise NumericsError("ratios of different length", fix="score all configurations on the same tokens")
        if np.isnan(self.members).any() or np.isnan(self.honest).any() or np.isposinf(self.honest).any():
            raise NumericsError(
                "a log ratio is not a number, or the reference itself rules a token out",
                fix="a token outside the claimed sampler's support is a sampling finding, not evidence about weights",
            )
        if tokens and (np.diff(self.request) < 0).any():
            raise NumericsError(
                "tokens are not in plan order", fix="fold replies in the order in which they were planned"
            )
        if tokens and not 0 <= self.request[0] <= self.request[-1] < self.requests:
            raise NumericsError("a token belongs to no request")

    def charged(self) -> Ints:
        """The requests whose replies pay the charges: all that have one, scored tokens or not, as in the calibration."""
        return np.setdiff1d(np.arange(self.requests), np.array(self.lost, dtype=int))

    def honest_requests(self) -> Floats:
        """Log-likelihood ratios of the honest configurations per request, charges included."""
        found = self.per_request(self.honest)
        if self.charges is not None:
            found[self.charged()] += self.charges.settings
        return found

    def per_request(self, values: Floats) -> Floats:
        """Sums over the tokens of each request; 0 for requests without tokens. ``[tokens, ...]`` -> ``[requests, ...]``."""
        out = np.zeros((self.requests, *values.shape[1:]))
        if len(self.request):
            starts = np.flatnonzero(np.diff(self.request, prepend=-1))
            out[self.request[starts]] = np.add.reduceat(values, starts, axis=0)
        return out


def excesses(members: Floats) -> Floats:
    """The x of member ratios 1 + u x at strength u: q / p_0 - 1 per token and alternative."""
    # expm1 is ten times slower, and 1e-16 is nothing beside 1 + u x
    found: Floats = np.exp(np.minimum(members, _MOST)) - 1.0
    return found


def member_sums(ratios: TokenRatios, bank: Bank) -> tuple[Floats, Floats]:
    """Per request and member, the log ratio to p_0 and the log ratio to the edge of the tolerance, ``[requests, members]``.

    log(1 + u x), and log(1 + u x) - log(1 + s u x): the second is at most 0 in the mean for every server at most the
    share s of the way from p_0 to the member. Up to eight ratios are multiplied before a logarithm is taken; none of the
    products can leave the range of a float, because single ratios lie between the floor and e^60.
    """
    if ratios.members.shape[1] != len(bank.alternatives):
        raise NumericsError("the bank and the ratios have different alternatives")
    plain, tolerant = (np.zeros((ratios.requests, len(bank.column))) for _ in range(2))
    first = np.flatnonzero(np.diff(ratios.request, prepend=-1))
    ends = np.append(first[1:], len(ratios.request))
    start = 0
    while start < len(first):
        stop = max(int(np.searchsorted(ends, first[start] + _AT_ONCE, side="right")), start + 1)
        part = slice(int(first[start]), int(ends[stop - 1]))
        x = excesses(ratios.members[part])
        inside = np.arange(part.start, part.stop) - np.repeat(first[start:stop], ends[start:stop] - first[start:stop])
        pieces = np.flatnonzero(inside % _TOGETHER == 0)
        whole = np.flatnonzero(inside[pieces] == 0)
        held = ratios.request[first[start:stop]]
        for strength, slack in sorted(set(zip(bank.strength.tolist(), bank.tolerance.tolist(), strict=True))):
            members = np.flatnonzero((bank.strength == strength) & (bank.tolerance == slack))
            columns = bank.column[members]
            chosen = strength * (x if len(columns) == x.shape[1] else x[:, columns])  # columns rise
            ahead, edge = (
                np.add.reduceat(np.log(np.multiply.reduceat(1.0 + share * chosen, pieces, axis=0)), whole, axis=0)
                for share in (1.0, slack)
            )
            plain[np.ix_(held, members)], tolerant[np.ix_(held, members)] = ahead, ahead - edge
        start = stop
    if ratios.charges is not None:
        cost = ratios.charges.members[bank.column]
        for sums in (plain, tolerant):
            sums[ratios.charged()] = np.minimum(sums[ratios.charged()], MOST_PER_REPLY) - cost
    return plain, tolerant
