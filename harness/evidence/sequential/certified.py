"""A lower bound, in nats per token, on how far the served model was from the reference, from its text alone."""

from __future__ import annotations

import numpy as np

from harness.evidence.clustered import Floats

#: Fractions of 1/range at which the bound is computed; fixed beforehand, each pays ln of their number.
_FRACTIONS = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7)


def certified_effect(gains: Floats, log_means: Floats, clip: float, alpha: float, tests: int) -> float:
    """The 1 - alpha lower bound, after all tokens, on the mean divergence KL(S || p_0) over them; may be negative.

    ``gains`` are clip(log q/p) of the tokens that came, within +-``clip``; ``log_means`` the log of the mean of exp of
    the same under p_0. Z = gain - log mean has, given the past, a mean of at most KL(S_t || p_0,t) (Donsker and Varadhan),
    and L = max over lambda of mean(Z) - [psi(lambda) sum (Z_i - Zhat_i)^2 + ln(m tests / alpha)] / (lambda n), psi(lambda)
    = (-ln(1 - lambda R) - lambda R) / R^2, with Zhat the mean of the past (empirical Bernstein, Howard et al. 2021; means
    may drift). Z is at least -2 clip and Zhat at most clip, so R = 3 clip. ``tests`` is the number of alternatives for
    which the bound is taken.

    It certifies: averaged over these tokens, given these prompts and the text returned, the server was at least L from
    p_0. It says nothing of other prompts. It is positive only after about seven times the tokens that identify a cause.
    """
    count = len(gains)
    if not count:
        return float("-inf")
    z = gains - log_means
    past = np.concatenate([[0.0], np.cumsum(z)[:-1] / np.arange(1, count)])
    spread = float(((z - np.minimum(past, clip)) ** 2).sum())
    width = 3.0 * clip
    rates = np.array(_FRACTIONS) / width
    psi = (-np.log1p(-rates * width) - rates * width) / width**2
    bounds = z.mean() - (psi * spread + np.log(len(rates) * tests / alpha)) / (rates * count)
    return float(bounds.max())
