"""The price of not knowing the ids: a reply's text, cut into ids anew, is not what the model wrote.

Many texts can be written in several ways, and a model writes about every third reply in another way than its tokenizer
would. The ratio q/p of the ids that the tokenizer makes of a text then has no mean of 1 under the reference, and a product of
such ratios is no e-process. The mean of the capped ratio is E = sum_y p(y) min(q/p(f(y)), e^6), f the whole way from a reply
to the ids that are scored; every reply is charged an upper bound of ln E. Without the cap, single replies of far members
(gibberish that the reference would hardly ever cut as its tokenizer does) make E astronomically large.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from harness.evidence.clustered import Floats

#: Nats beyond which a single reply without ids counts no more.
MOST_PER_REPLY = 6.0
_CONFIDENCE = 0.99
_FAR = 300.0  # nats beyond which a configuration rules the reply out: no charge makes it the best honest one


def recut_charge(shifts: Floats, lengths: Floats, draws: int) -> Floats:
    """Upper bounds, 99 %, of ln E per honest configuration, at least 0; ``[replies, ...]`` -> ``[...]``.

    Replies y are drawn from the *member* q and weighed back: E = E_q[(p/q)(y) min(q/p(f(y)), e^6)]. The weight is at most 1
    but for replies that are cut otherwise, so that a few hundred draws say what millions of the reference's replies would
    not: under the reference, the mean of q/p over a whole reply hangs on replies that it hardly ever writes.

    ``shifts`` holds log min(q/p(f(y)), e^6) - log(q/p)(y) of the replies that were cut otherwise, ``lengths`` log p - log q
    of where the reply ended (its mean of exp is 1 under q, so replies that were cut alike count as 1), ``draws`` how many
    were drawn. Normal bound on the mean, with one more draw added that weighs as much as the largest, and at least e: a
    change that no draw showed is not free. Trust it from a few hundred draws on.
    """
    if draws < 2 or len(shifts) > draws:
        raise ValueError("a charge needs at least two draws, and all of them")
    extra = tuple(range(1, shifts.ndim))
    with np.errstate(over="ignore", invalid="ignore"):
        weights = np.expm1(shifts) * np.exp(np.expand_dims(lengths, extra))
    weights = np.where(np.abs(shifts) > _FAR, 0.0, weights)
    worst = np.maximum(weights.max(0, initial=0.0), np.e - 1.0)
    count = draws + 1
    mean = (weights.sum(0) + worst) / count
    spread = (weights**2).sum(0) + worst**2 - count * mean**2
    error = np.sqrt(np.maximum(spread, 0.0) / (count - 1) / count)
    charge: Floats = np.log(np.maximum(1.0 + mean + ndtri(_CONFIDENCE) * error, 1.0))
    return charge
