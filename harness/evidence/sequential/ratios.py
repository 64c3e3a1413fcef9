"""Log ratios of tokens and the requests that they belong to: what every sequential test is fed with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.errors import NumericsError
from harness.evidence.clustered import Floats, Ints
from harness.evidence.sequential.bank import Bank

#: No float tells ratios beyond this apart; a token that the reference all but rules out weighs no more.
_MOST = 60.0


@dataclass(frozen=True, slots=True)
class TokenRatios:
    """Scored tokens in plan order, as log ratios to the reference in fp32 arithmetic.

    ``request`` is the number of each token's request, 0 to ``requests`` - 1, never falling; a request without scored
    tokens is an empty reply, and ``lost`` requests have no reply at all. ``members`` holds log q_k - log p_0 per
    alternative, ``honest`` log p_j - log p_0 per honest configuration and setting of the sampler,
    ``[tokens, settings, configurations]``; its first entry is p_0 itself and 0.
    """

    requests: int
    request: Ints
    members: Floats
    honest: Floats
    lost: tuple[int, ...] = ()

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

    def per_request(self, values: Floats) -> Floats:
        """Sums over the tokens of each request; 0 for requests without tokens. ``[tokens, ...]`` -> ``[requests, ...]``."""
        out = np.zeros((self.requests, *values.shape[1:]))
        if len(self.request):
            starts = np.flatnonzero(np.diff(self.request, prepend=-1))
            out[self.request[starts]] = np.add.reduceat(values, starts, axis=0)
        return out

    def strengths(self, bank: Bank) -> Floats:
        """X with member ratio 1 + u x per token and alternative: q / p_0 - 1."""
        return np.expm1(np.clip(self.members, -np.inf, _MOST))


def member_sums(ratios: TokenRatios, bank: Bank) -> tuple[Floats, Floats]:
    """Per request and member, the log ratio to p_0 and the log ratio to the edge of the tolerance, ``[requests, members]``.

    log(1 + u x), and log(1 + u x) - log(1 + s u x): the second is at most 0 in the mean for every server at most the
    share s of the way from p_0 to the member.
    """
    if ratios.members.shape[1] != len(bank.alternatives):
        raise NumericsError("the bank and the ratios have different alternatives")
    excess = ratios.strengths(bank)
    plain = np.empty((ratios.requests, len(bank.column)))
    tolerant = np.empty_like(plain)
    for place, (column, u) in enumerate(zip(bank.column, bank.strength, strict=True)):
        ahead = ratios.per_request(np.log1p(u * excess[:, column]))
        plain[:, place] = ahead
        tolerant[:, place] = ahead - ratios.per_request(np.log1p(bank.tolerance * u * excess[:, column]))
    return plain, tolerant
