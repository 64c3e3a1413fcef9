"""One e-process over an audit's replies: where it stands, when it decided, and what explains it. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from harness.comparisons.model import Result
from harness.evidence.sequential.bank import Alternative, Bank
from harness.evidence.sequential.causes import explanations
from harness.evidence.sequential.eprocess import EProcess, Path
from harness.evidence.sequential.ratios import TokenRatios

#: Positions in a reply at which the profile of the evidence is cut: a changed prompt speaks early, changed weights evenly.
PROFILE = (0, 4, 20)
_PLACES = 60


class ExplanationFacts(Result):
    """A family of causes by how well it explains the replies."""

    family: str
    best: str
    probability: float
    share: float
    strength: float
    lead: float


class ProfileFacts(Result):
    """What the best explanation gains over the reference at some positions of the replies."""

    first: int  # position from which on, 0 for the first token
    tokens: int
    gain: float  # mean log ratio, nats per token; NaN without tokens


class ProcessFacts(Result):
    """One e-process at the end of the audit, and the first request at which it decided (0: it did not)."""

    log_e: float  # against every honest host that was computed
    log_e_tolerant: float  # against everything within the tolerance
    crossed_at: int
    crossed_tokens: int
    best: float  # log of the best member's likelihood over the reference's, nats
    explanations: tuple[ExplanationFacts, ...]
    profile: tuple[ProfileFacts, ...]  # of the best explanation
    path: tuple[tuple[int, int, float], ...]  # requests, tokens and evidence (nats) on the way, at most 60 places

    @property
    def evidence(self) -> float:
        """The smaller of both, nats."""
        return min(self.log_e, self.log_e_tolerant)


def run_process(ratios: TokenRatios, names: Sequence[tuple[str, str]], alpha: float) -> tuple[EProcess, ProcessFacts]:
    """A bank of names with their families, folded over all requests."""
    process = EProcess(Bank(tuple(Alternative(name, family) for name, family in names)))
    return process, process_facts(process, process.fold(ratios), ratios, alpha)


def process_facts(process: EProcess, path: Path, ratios: TokenRatios, alpha: float) -> ProcessFacts:
    """What a process that was folded along ``path`` amounts to."""
    crossed = process.first_crossing(path, alpha) or 0
    found = explanations(process)
    return ProcessFacts(
        log_e=process.log_e(),
        log_e_tolerant=process.log_e_tolerant(),
        crossed_at=crossed,
        crossed_tokens=int((ratios.request < crossed).sum()),
        best=float(process.numerators.max()),
        explanations=tuple(
            ExplanationFacts(
                family=one.family, best=one.best, probability=one.probability, share=one.share,
                strength=one.strength, lead=one.lead,
            )
            for one in found
        ),
        profile=_profile(ratios, process.bank.names.index(found[0].best)),
        path=_course(process, path, ratios),
    )  # fmt: skip


def _course(process: EProcess, path: Path, ratios: TokenRatios) -> tuple[tuple[int, int, float], ...]:
    """The smaller of both e-processes after some of the requests, the last among them."""
    every = max(math.ceil(ratios.requests / _PLACES), 1)
    found = []
    for n in sorted({*range(every, ratios.requests + 1, every), ratios.requests} - {0}):
        plain = process.log_e(n, float(path.log_numerator[n - 1]))
        tokens = int((ratios.request < n).sum())
        found.append((n, tokens, min(plain, float(path.log_tolerant[n - 1]))))
    return tuple(found)


def _profile(ratios: TokenRatios, column: int) -> tuple[ProfileFacts, ...]:
    """Mean log ratio of one alternative by position in the reply."""
    starts = np.flatnonzero(np.diff(ratios.request, prepend=-1))
    lengths = np.diff(np.append(starts, len(ratios.request)))
    position = np.arange(len(ratios.request)) - np.repeat(starts, lengths)
    found = []
    for first, after in zip(PROFILE, (*PROFILE[1:], np.inf), strict=True):
        gains = ratios.members[(position >= first) & (position < after), column]
        found.append(ProfileFacts(first=first, tokens=len(gains), gain=float(gains.mean()) if len(gains) else math.nan))
    return tuple(found)
