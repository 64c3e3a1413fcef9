"""What one configuration says of one token of a reply: the row on which all evidence about hosted text rests.

A reply ends at the first *silent* token: a stop, a control token, or a piece of a character, because hosts leave these
out of the text. All distributions here are conditional on the next token not being silent (``p(v) / (1 - p(silent))``),
so that what a host leaves out moves nothing; ``log_silent`` and ``log_audible`` keep the other factor. They are distributions
at the temperature that was asked for, before its cut-off.
Natural logarithms, nats, fp64.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

EVIDENCE_VERSION: Final = 4

#: Inverse temperatures at which log-normalisers are kept; the one called ``CLAIMED`` is the sampler that was asked for.
POWERS: Final = (
    0.5, 0.6, 1 / 1.5, 1 / 1.4, 1 / 1.3, 1 / 1.2, 1 / 1.15, 1 / 1.1, 1 / 1.05, 1 / 1.02, 1.0, 1 / 0.98, 1 / 0.95,
    1 / 0.9, 1 / 0.85, 1 / 0.8, 1 / 0.75, 1 / 0.7, 1 / 0.6, 2.0,
)  # fmt: skip
CLAIMED: Final = POWERS.index(1.0)
#: Cut-offs that a sampler may apply, as (name, value).
CUTS: Final = (("top_p", 0.8), ("top_p", 0.9), ("top_p", 0.95), ("top_k", 20), ("top_k", 40), ("min_p", 0.05))
#: Exponents of the rank by which the reference is tilted, for alternatives that nobody listed.
TILTS: Final = (-0.2, -0.1, -0.05, 0.05, 0.1, 0.2)
#: Bounds c at which the log ratio to the reference is clipped for the certified effect.
CLIPS: Final = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0)

EVIDENCE: Final = np.dtype(
    [
        ("label", "<i4"),  # id of the token, as the host sent it
        ("silent", "<u1"),  # whether that id is silent: its factor is 1 and the reply ends before it
        ("logp", "<f8"),  # log p(label), conditional on an audible token; NaN where the label is silent
        ("log_silent", "<f8"),
        ("log_audible", "<f8"),
        ("normalisers", "<f8", (len(POWERS),)),  # log sum of p(v)^power
        ("kept", "<f8", (len(CUTS),)),  # log of the mass that a cut-off keeps; +inf where it rules the label out
        # of the cut-off that was asked for (0 without one): log of the cut distribution over the whole one, -inf where it
        # rules the label out; and the most that any cut-off as near as rounding may move it would give, per power
        ("claimed", "<f8"),
        ("granted", "<f8", (len(POWERS),)),
        # of the reference alone, NaN elsewhere
        ("rank", "<f8"),  # 1 for the most likely id; ids of equal probability share the better rank
        ("above", "<f8"),  # probability of all ids that are more likely than the label
        ("tied", "<f8"),  # probability of all ids that are exactly as likely, the label included
        ("surprisal", "<f8", (2,)),  # mean and variance of -log p under p
        ("log_rank", "<f8", (2,)),  # mean and variance of the logarithm of the rank under p
        ("tilted", "<f8", (len(TILTS),)),  # log of the mean of rank^tilt under p
        # against the reference, NaN for the reference
        ("kl_cand_ref", "<f8"),
        ("kl_ref_cand", "<f8"),
        ("chi2", "<f8"),  # sum of q^2 / p, minus 1
        ("clipped", "<f8", (len(CLIPS),)),  # log of the mean of exp(clip(log q / p)) under p
        # where the host tells log-probabilities of some ids, all over these ids and over the whole distribution, silent ids
        # among them: distance of what it tells from this configuration, and of this configuration from the reference
        ("told", "<f8"),
        ("band", "<f8"),
        # of the reference alone: what the host tells of the label (log) and of the likeliest audible ids (log of their sum,
        # if several are alike), whether the label is one of them; mass of listed silent ids, mass that is not listed, the
        # smallest listed probability
        ("said", "<f8"),
        ("surest", "<f8"),
        ("is_surest", "<u1"),
        ("hushed", "<f8"),
        ("unlisted", "<f8"),
        ("smallest", "<f8"),
        ("count", "<f8"),  # how many ids are listed
        ("slope", "<f8", (3,)),  # variance of the reference's logs, covariance with the told ones, variance of these
    ]
)

TokenEvidence = NDArray[np.void]


def empty_evidence(count: int) -> TokenEvidence:
    """``count`` rows with every float NaN: a value that nobody wrote must not look measured."""
    rows = np.zeros(count, dtype=EVIDENCE)
    for name in EVIDENCE.names or ():
        if rows[name].dtype.kind == "f":
            rows[name] = np.nan
    return rows
