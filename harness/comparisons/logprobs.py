"""What the log-probabilities that a host tells amount to: how far off, like which build, and is the text drawn from them?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from harness.comparisons.model import Result
from harness.evidence.clustered import Floats, mean_interval, positive_mean_interval, t_quantile
from harness.evidence.sequential.band import first_reached, log_over, log_under
from harness.evidence.sequential.claims import log_forged, spare_mass
from harness.targets.token_evidence import TokenEvidence, empty_evidence

#: A build explains what is told if the distance that it leaves is at most this part of the reference's.
EXPLAINED = 0.5
#: Or if it leaves at most this part, and its own displacement lies in what is told once, within these bounds: an engine that
#: rounds activations adds as much again that no build repeats (docs/decisions/0006).
PARTLY, ONCE = 0.8, (0.75, 1.33)
#: A cache is rounded anew at every token, and half of that is repeated elsewhere: it explains what is as large as it, within this
#: factor, and of which this much is surely in its direction.
SIZE, HALF = 1.25, 0.4
#: Told logarithms are another temperature's if they are a multiple of the reference's, this well.
STRAIGHT, BENT = 0.98, 0.03
_ANEW = "kv-cache"  # the family of members that round within the forward pass
_SURE = 0.99  # confidence with which one family's best leaves less than any other's
_LONE = 2  # a list of the likeliest id alone has so many where another one was drawn
_FEWEST = 4  # requests from which on anything is named
_SPREAD = 8  # requests from which on their spread is known well enough for an interval


class ToldBuild(Result):
    """One build: the distance that it leaves, and whether this audit would have found it, had the host told of it."""

    name: str
    family: str
    left: float  # mean distance from what is told to the nearer of build and reference, nats per token
    share: float  # requests that lie nearer to the build
    band: float  # its own distance from the reference on the same tokens
    found_at: int  # request after which it would have been accused, 0: not within this audit
    # how often its own displacement lies in what is told: 0 for the reference, 1 for the build with whatever comes on top of it
    contained: float
    contained_low: float  # interval, 99 %
    contained_high: float

    def explains(self, distance: float) -> bool:
        """Whether it accounts for so much of what lies at ``distance`` that it is a cause."""
        if self.left <= EXPLAINED * distance:
            return True
        if self.family == _ANEW:
            alike = distance / SIZE <= self.band <= distance * SIZE
            return alike and self.contained_low >= HALF and self.contained_high <= ONCE[1]
        once = ONCE[0] <= self.contained_low and self.contained_high <= ONCE[1]
        return once and self.left <= PARTLY * distance


class LogprobFacts(Result):
    """Everything that the verdict on told log-probabilities rests on; distances are means over told tokens, nats."""

    alpha: float  # of each of its two accusations: too far, and not drawn from what is told
    requests: int
    tokens: int
    covered: float  # part of the scored tokens of which anything is told
    listed: float  # ids that are told per token, on average
    distance: float  # from what is told to the reference, with its interval over requests
    low: float
    high: float
    band: float  # the same of the honest stack that lies furthest away
    log_over: float
    over_at: int  # request after which the host is too far away; 0: it never was
    log_under: float
    under_at: int
    log_forged: float
    forged_at: int
    slope: float  # of the told logarithms on the reference's; 1 for the same temperature
    straight: float  # how much of the told variation that slope explains
    builds: tuple[ToldBuild, ...]  # those that leave least come first
    neutral: bool = True  # whether a host that was shown texts took it to add no cut-off; of replies the audit knows
    drawn: bool  # whether the host wrote the tokens itself: only then do they say whether they were drawn from what is told
    named: bool  # whether the first one's family explains it, and no other family does as well

    @property
    def temperature(self) -> float:
        """The temperature that the told logarithms stand for; NaN where they stand for none of their own."""
        other = self.straight >= STRAIGHT and abs(self.slope - 1.0) > BENT
        return 1.0 / self.slope if other else math.nan


def logprob_facts(
    evidence: Mapping[str, Sequence[TokenEvidence]],
    honest: Sequence[str],
    families: Mapping[str, str],
    alpha: float,
    *,
    drawn: bool = True,
) -> LogprobFacts | None:
    """Hold what the host told against the reference, honest stacks and builds; None where it told nothing.

    ``evidence`` holds rows per configuration and reply in plan order, ``honest`` the null with its centre first, of which
    those that differ by the day of the prompt alone count as the reference, too. ``alpha`` is shared by both accusations.
    ``drawn`` is false for texts that the host was shown.
    """
    centre = honest[0]
    rows = {name: np.concatenate([empty_evidence(0), *evidence[name]]) for name in (*honest, *families)}
    request = np.repeat(np.arange(len(evidence[centre])), [len(part) for part in evidence[centre]])
    # hosts leave pieces of characters out of their lists, so that what is told at a silent id may belong to a later place
    told = np.isfinite(rows[centre]["told"]) & (rows[centre]["silent"] == 0)
    others = [name for name in honest if name != centre and not name.startswith(f"{centre} on ")]
    if not told.any() or not others:
        return None
    means = _Means(request[told])
    same = [name for name in honest if name not in others]
    distance = np.min([means.of(rows[name]["told"][told]) for name in same], axis=0)
    bands = {name: means.of(rows[name]["band"][told]) for name in (*others, *families)}
    band = np.max([bands[name] for name in others], axis=0)
    over, under = log_over(distance, band), log_under(distance, band)
    size = positive_mean_interval(np.repeat(distance, means.counts), np.repeat(np.arange(len(distance)), means.counts))
    forged, forged_at = _forged(rows, told, request, [centre, *families], alpha / 2) if drawn else (0.0, 0)
    share = alpha / 2 if drawn else alpha  # the other half is for the text that the host wrote
    away = {name: means.of(rows[name]["told"][told]) for name in families}
    lefts = {name: np.minimum(own, distance) for name, own in away.items()}
    builds = []
    for name, left in lefts.items():
        contained = means.ratio((distance - away[name] + bands[name]) / 2.0, bands[name])
        builds.append(ToldBuild(
            name=name, family=families[name], left=means.mean(left), share=float((left < distance).mean()),
            band=means.mean(bands[name]), found_at=means.named(first_reached(log_over(bands[name], band), share)),
            contained=contained[0], contained_low=contained[1], contained_high=contained[2],
        ))  # fmt: skip
    builds.sort(key=lambda build: build.left)
    xx, xy, yy = rows[centre]["slope"][told].sum(0)
    return LogprobFacts(
        alpha=share, requests=len(distance), tokens=int(told.sum()),
        covered=float(told.sum() / max((rows[centre]["silent"] == 0).sum(), 1)), listed=float(rows[centre]["count"][told].mean()),
        distance=size.value, low=size.low, high=size.high, band=means.mean(band),
        log_over=float(over[-1]), over_at=means.named(first_reached(over, share)),
        log_under=float(under[-1]), under_at=means.named(first_reached(under, alpha)),
        log_forged=forged, forged_at=forged_at,
        slope=float(xy / xx) if xx > 0 else math.nan, straight=float(xy**2 / (xx * yy)) if xx > 0 and yy > 0 else math.nan,
        builds=tuple(builds), drawn=drawn, named=_named(builds, lefts, distance, means),
    )  # fmt: skip


class _Means:
    """Means over the tokens of each request that has any."""

    def __init__(self, request: NDArray[np.int64]) -> None:
        self.numbers, self._place, self.counts = np.unique(request, return_inverse=True, return_counts=True)

    def of(self, values: Floats) -> Floats:
        """One mean per request."""
        return np.bincount(self._place, weights=values) / self.counts

    def mean(self, values: Floats) -> float:
        """Over all tokens, of a mean per request."""
        return float((values * self.counts).sum() / self.counts.sum())

    def ratio(self, above: Floats, below: Floats) -> tuple[float, float, float]:
        """Ratio of two means over tokens with its interval, requests being the unit; NaN of few, and where the lower one is 0.

        From the residuals of each request (delta method, with the small-sample factor of a mean).
        """
        a, b, many = above * self.counts, below * self.counts, len(self.counts)
        if many < _SPREAD or not b.sum() > 0:
            return math.nan, math.nan, math.nan
        value = float(a.sum() / b.sum())
        error = math.sqrt(many / (many - 1) * float(((a - value * b) ** 2).sum())) / float(b.sum())
        reach = t_quantile(many, _SURE) * error
        return value, value - reach, value + reach

    def named(self, place: int) -> int:
        """The number of a request in the audit, from 1, by its place among those that count; 0 stays 0."""
        return int(self.numbers[place - 1]) + 1 if place else 0


def _forged(
    rows: Mapping[str, TokenEvidence],
    told: NDArray[np.bool_],
    request: NDArray[np.int64],
    names: Sequence[str],
    alpha: float,
) -> tuple[float, int]:
    """Log evidence that tokens were not drawn from what was told, and the request at which it decided."""
    centre = rows[names[0]]
    used = told & np.isfinite(centre["surest"])
    if not used.any():
        return 0.0, 0
    held = centre[used]
    path = log_forged(
        held["is_surest"].astype(float), np.exp(held["surest"]), held["said"], held["hushed"],
        spare_mass(held["unlisted"], held["smallest"], held["hushed"], np.exp(held["log_silent"])),
        np.stack([rows[name]["logp"][used] for name in names], axis=1), lists=bool(held["count"].max() > _LONE),
    )  # fmt: skip
    reached = first_reached(path, alpha)
    return float(path[-1]), int(request[used][reached - 1]) + 1 if reached else 0


def _named(builds: Sequence[ToldBuild], lefts: Mapping[str, Floats], distance: Floats, means: _Means) -> bool:
    """Whether the best build explains what is told, and leaves surely less than the best of any other family."""
    if not builds or len(distance) < _FEWEST or not builds[0].explains(means.mean(distance)):
        return False
    best = builds[0]
    for other in (build for build in builds if build.family != best.family):
        gap = np.repeat(lefts[best.name] - lefts[other.name], means.counts)
        if not mean_interval(gap, np.repeat(np.arange(len(distance)), means.counts), _SURE).high < 0:
            return False
    return True
