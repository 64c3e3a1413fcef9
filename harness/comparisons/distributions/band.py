"""The candidate against the honest band: how many times further than an honest configuration does it move?"""

from __future__ import annotations

import math

import numpy as np

from harness.comparisons.model import Result
from harness.comparisons.table import TokenTable
from harness.evidence.clustered import positive_mean_interval, ratio_interval
from harness.evidence.equivalence import accusing_level


class BandMember(Result):
    """The mean KL of one honest configuration on the part of the items where it was measured."""

    name: str
    value: float
    low: float
    high: float
    tokens: int


class BandReading(Result):
    """Candidate's mean KL over the widest honest member's, on the same tokens, paired by document.

    ``low`` and ``high`` hold 95 %; ``fail_low`` is the lower end of the wider interval that an accusation needs (decisions
    0008 and 0009). ``se`` is that of the log ratio. ``member`` names the widest configuration; it was picked on the same
    data, which favours the candidate a little.
    """

    member: str
    ratio: float
    low: float
    high: float
    fail_low: float
    se: float
    tokens: int
    clusters: int
    note: str
    rest_low: float  # lower end of the candidate's mean KL on the other items; 0 where there are none
    limit: float  # upper end of the member's own mean KL

    @property
    def accusing_reach(self) -> float:
        """How far the interval of an accusation reaches down, on the logarithm."""
        return math.log(self.ratio / self.fail_low) if self.fail_low > 0 else math.inf


#: What a divergence of one token is at least, in nat, where all of them are nothing but rounding.
_FINEST = 1e-12


def band_member(name: str, table: TokenTable) -> BandMember:
    """Summarise one honest configuration."""
    kl = positive_mean_interval(table.column("kl_ref_cand"), table.cluster)
    return BandMember(name=name, value=kl.value, low=kl.low, high=kl.high, tokens=kl.tokens)


def against_band(candidate: TokenTable, honest: dict[str, TokenTable]) -> BandReading | None:
    """Compare with the widest member; None if no member moved at all or none was measured."""
    widest, most = "", 0.0
    for name, table in honest.items():
        shared = {s.key for s in table.sequences} & {s.key for s in candidate.sequences}
        value = table.restrict(shared).sums("kl_ref_cand").mean if shared else 0.0
        if value > most:
            widest, most = name, value
    if not widest:
        return None
    member = honest[widest]
    keys = {s.key for s in member.sequences} & {s.key for s in candidate.sequences}
    ours, theirs = candidate.restrict(keys), member.restrict(keys)
    others = {s.key for s in candidate.sequences} - keys
    rest = candidate.restrict(others) if others else None
    low = positive_mean_interval(rest.column("kl_ref_cand"), rest.cluster).low if rest else 0.0
    above, below = ours.column("kl_ref_cand"), theirs.column("kl_ref_cand")
    noise = ours.sums("kl_ref_cand").mean <= 0
    if noise:  # so near that the sums' own rounding decides their sign: magnitudes bound the ratio from above, and accuse nobody
        above = np.maximum(np.abs(above), _FINEST)
    means = above, below, ours.cluster
    ratio, wider = ratio_interval(*means), ratio_interval(*means, accusing_level(), unseen=True)
    return BandReading(
        member=widest,
        ratio=ratio.value,
        low=ratio.low,
        high=ratio.high,
        fail_low=min(wider.low, 1.0) if noise else wider.low,
        se=ratio.se,
        tokens=ratio.tokens,
        clusters=ratio.clusters,
        note=ratio.note,
        rest_low=low if low > 0 else 0.0,
        limit=band_member(widest, member).high,
    )
