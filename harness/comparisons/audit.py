"""What the replies of an endpoint amount to: the e-processes run over them, and what they say of every alternative. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from harness.comparisons.model import Result
from harness.comparisons.replies import (
    LENGTHS,
    SAMPLERS,
    UNLISTED,
    clipped_gains,
    divergences,
    length_ratios,
    sampler_ratios,
    weight_ratios,
)
from harness.evidence.sequential.bank import STRENGTHS, Alternative, Bank
from harness.evidence.sequential.causes import exclusions, explanations, routing_shares
from harness.evidence.sequential.certified import certified_effect
from harness.evidence.sequential.eprocess import EProcess, Path
from harness.evidence.sequential.ratios import TokenRatios
from harness.targets.token_evidence import CLIPS, TokenEvidence

#: Below this divergence, in nats per token, honest rounding lies too far in an alternative's direction for weak strengths.
SMALL = 0.05


class BuildFacts(Result):
    """What the replies say of one exact build."""

    name: str
    family: str
    divergence: float  # mean KL(build || reference) per token, over the whole vocabulary, on these contexts
    log_e_against: float  # evidence that it did not serve every request, nats
    excluded: bool
    share_low: float  # interval of the share of requests that it may have served; NaN where none is possible
    share_high: float


class ExplanationFacts(Result):
    """A family of causes by how well it explains the replies."""

    family: str
    best: str
    probability: float
    share: float
    strength: float
    lead: float


class ProcessFacts(Result):
    """One e-process at the end of the audit, and the first request at which it decided (0: it did not)."""

    log_e: float  # against every honest host that was computed
    log_e_tolerant: float  # against everything within the tolerance
    crossed_at: int
    crossed_tokens: int
    explanations: tuple[ExplanationFacts, ...]

    @property
    def evidence(self) -> float:
        """The smaller of both, nats."""
        return min(self.log_e, self.log_e_tolerant)


class AuditFacts(Result):
    """Everything that the verdict on an endpoint's replies rests on."""

    alpha: float
    requests: int
    lost: int
    tokens: int
    honest: tuple[str, ...]
    weights: ProcessFacts
    sampler: ProcessFacts
    length: ProcessFacts
    builds: tuple[BuildFacts, ...]
    certified: (
        float  # nats per token that the server was at least away from the reference; not positive: nothing certified
    )
    smallest: float  # divergence of an exact build, nats per token, that this audit would have found; infinite: none


def weigh_replies(
    evidence: Mapping[str, Sequence[TokenEvidence]],
    honest: Sequence[str],
    families: Mapping[str, str],
    lost: Sequence[int],
    alpha: float,
    seed: int,
) -> AuditFacts:
    """Run the weights, sampler and length processes over replies in plan order.

    ``evidence`` holds rows per configuration and reply, ``families`` the cause of each member of the bank. Each process
    errs with probability at most ``alpha`` on an honest host. ``seed`` is the plan's.
    """
    members = list(families)
    sizes = divergences(evidence, members, honest[0])
    ratios = weight_ratios(evidence, honest, members, lost, seed)
    listed = [Alternative(name, families[name], _strengths(sizes[name])) for name in members]
    process = EProcess(Bank((*listed, *(Alternative(name, "unlisted") for name in UNLISTED))))
    weights = _facts(process, process.fold(ratios), ratios, alpha)
    shares = routing_shares(process, alpha)
    builds = [
        BuildFacts(
            name=one.name, family=families[one.name], divergence=sizes[one.name], log_e_against=one.log_e,
            excluded=one.excluded, share_low=share.low, share_high=share.high,
        )
        for one, share in zip(exclusions(process, alpha), shares, strict=True)
        if one.name in families
    ]  # fmt: skip
    return AuditFacts(
        alpha=alpha,
        requests=ratios.requests,
        lost=len(lost),
        tokens=len(ratios.request),
        honest=tuple(honest),
        weights=weights,
        sampler=_run(sampler_ratios(evidence, honest, lost), [(name, "sampling") for name in SAMPLERS], alpha),
        length=_run(
            length_ratios(evidence, honest, members, lost),
            [*families.items(), *((name, "clipping") for name, _ in LENGTHS)],
            alpha,
        ),
        builds=tuple(builds),
        certified=_certified(evidence, members, sizes, honest[0], alpha),
        smallest=_smallest(len(ratios.request), alpha, len(process.bank.column)),
    )


def _strengths(divergence: float) -> tuple[float, ...]:
    """Weak strengths only for alternatives that honest rounding cannot be mistaken for."""
    return STRENGTHS if divergence >= SMALL else STRENGTHS[:1]


def _run(ratios: TokenRatios, names: Sequence[tuple[str, str]], alpha: float) -> ProcessFacts:
    process = EProcess(Bank(tuple(Alternative(name, family) for name, family in names)))
    return _facts(process, process.fold(ratios), ratios, alpha)


def _facts(process: EProcess, path: Path, ratios: TokenRatios, alpha: float) -> ProcessFacts:
    crossed = process.first_crossing(path, alpha) or 0
    return ProcessFacts(
        log_e=process.log_e(),
        log_e_tolerant=process.log_e_tolerant(),
        crossed_at=crossed,
        crossed_tokens=int((ratios.request < crossed).sum()),
        explanations=tuple(
            ExplanationFacts(
                family=one.family, best=one.best, probability=one.probability, share=one.share,
                strength=one.strength, lead=one.lead,
            )
            for one in explanations(process)
        ),
    )  # fmt: skip


def _certified(
    evidence: Mapping[str, Sequence[TokenEvidence]],
    members: Sequence[str],
    sizes: Mapping[str, float],
    honest: str,
    alpha: float,
) -> float:
    """The best certified effect over the bank; the clip of each member is fixed by its divergence."""
    found = [-math.inf]
    for name in members:
        reach = 4.0 * math.sqrt(2.0 * max(sizes[name], 1e-6))
        clip = next((place for place, bound in enumerate(CLIPS) if bound >= reach), len(CLIPS) - 1)
        gains, means, _ = clipped_gains(evidence, name, honest, clip)
        found.append(
            certified_effect(np.clip(gains, -CLIPS[clip], CLIPS[clip]), means, CLIPS[clip], alpha, len(members))
        )
    return max(found)


def _smallest(tokens: int, alpha: float, members: int) -> float:
    """About the divergence at which an exact build of the bank is found with 95 % probability within these tokens.

    Tokens x KL is about inverse Gaussian; 3.34 ln(1/alpha) covers 95 % in a bank of twelve with half the weight on all
    traffic, and the tolerance costs 1 / (1 - s)^2. An order of size; ``fidelity plan`` will tell it for a real bank.
    """
    del members
    return 3.34 * math.log(1.0 / alpha) / (1.0 - 0.25) ** 2 / tokens if tokens else math.inf
