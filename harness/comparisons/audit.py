"""What the replies of an endpoint amount to: the e-processes run over them, and what they say of every alternative. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from harness.comparisons.logprobs import LogprobFacts, logprob_facts
from harness.comparisons.model import Result
from harness.comparisons.processes import ProcessFacts, process_facts, run_process
from harness.comparisons.recut import RecutFacts
from harness.comparisons.replies import (
    LENGTHS,
    UNLISTED,
    build_likelihoods,
    clipped_gains,
    divergences,
    length_likelihoods,
    length_ratios,
    repeated_replies,
    sampler_names,
    sampler_ratios,
    setting_likelihoods,
    warm_names,
    weight_ratios,
)
from harness.comparisons.settings import SettingFacts, required_lengths, required_samplers, setting_facts
from harness.errors import NumericsError
from harness.evidence.planning import barrier, smallest_divergence
from harness.evidence.sequential.bank import STRENGTHS, TOLERANCE_OF_FAR, Alternative, Bank
from harness.evidence.sequential.causes import exclusions, routing_shares
from harness.evidence.sequential.certified import certified_effect
from harness.evidence.sequential.eprocess import EProcess
from harness.evidence.sequential.ratios import Charges, TokenRatios
from harness.targets.sampler import Sampler
from harness.targets.token_evidence import CLIPS, TokenEvidence

#: Probability that an honest host's replies are called repeated.
REPEATED = 1e-6
#: The family that has half of the bank's weight.
FAVOURED = "quantization"


class BuildFacts(Result):
    """What the replies say of one exact build."""

    name: str
    family: str
    divergence: float  # mean KL(build || reference) per token, over the whole vocabulary, on these contexts
    log_e_against: float  # evidence that it did not serve every request, nats; NaN where that cannot be told
    excluded: bool
    share_low: float  # interval of the share of requests that it may have served; NaN where none is possible
    share_high: float


class AuditFacts(Result):
    """Everything that the verdict on an endpoint's replies rests on."""

    alpha: float  # of the weights process; the sampler and the length process share the same on the integrity axis
    requests: int
    lost: int
    neutral: bool  # whether the host was told to add no cut-off and no penalty of its own, and took it
    repeated: int  # replies that repeat one to another question, where an honest host does so once in a million audits
    log_e_kept: float  # of the weights process if what was lost did not depend on what it said, nats
    tokens: int
    honest: tuple[str, ...]
    weights: ProcessFacts
    sampler: ProcessFacts | None  # None where the host tells no ids: both need them
    length: ProcessFacts | None  # None also under a cut-off
    settings: tuple[SettingFacts, ...]  # none where the host tells no ids
    sampler_lead: float  # log of the best sampler's likelihood over the bank's best member, nats
    logprobs: LogprobFacts | None  # None where the host tells no log-probabilities
    recut: RecutFacts | None
    builds: tuple[BuildFacts, ...]
    untold: str  # why nothing is said of single builds; empty where it is
    certified: (
        float  # nats per token that the server was at least away from the reference; not positive: nothing certified
    )
    smallest: (
        float  # divergence of an exact build, nats per token, that this audit finds by calculation; infinite: none
    )


def weigh_replies(
    evidence: Mapping[str, Sequence[TokenEvidence]],
    honest: Sequence[str],
    families: Mapping[str, str],
    near: Sequence[str],
    lost: Sequence[int],
    alpha: float,
    seed: int,
    recut: RecutFacts | None = None,
    *,
    neutral: bool = True,
    sampler: Sampler | None = None,
) -> AuditFacts:
    """Run the weights, sampler and length processes over replies in plan order.

    ``evidence`` holds rows per configuration and reply, ``families`` the cause of each member of the bank, ``near`` those
    that enter at full strength only, ``lost`` the requests without a readable reply. On an honest host the weights process
    errs with probability at most ``alpha``, and so do the sampler and the length process together. ``seed`` is the plan's.

    ``sampler`` is what the host was asked for; under a cut-off the length process and the certified effect do not run.

    With ``recut``, ids are what the tokenizer makes of the texts: only the weights process runs, on listed builds at full
    strength, each reply charged; no build is ruled out and no effect certified, because both need the ids.
    """
    members = [name for name in families if recut is None or name not in recut.dear]
    if not members:
        raise NumericsError("no member of the bank can be tested without the ids of tokens")
    sizes = divergences(evidence, members, honest[0])
    far = [name for name in members if name not in near] if recut is None else []
    asked = sampler or Sampler()
    ratios = weight_ratios(evidence, honest, members, lost, seed, far, asked)
    drawn: ProcessFacts | None = None
    length: ProcessFacts | None = None
    settings: tuple[SettingFacts, ...] = ()
    if recut is None:
        bank = audit_bank({name: families[name] for name in members}, near)
        drawing, drawn = run_process(
            sampler_ratios(evidence, honest, lost, asked), [(n, "sampling") for n in sampler_names(asked)], alpha / 2
        )
        settings = setting_facts(
            drawing,
            setting_likelihoods(evidence, honest, asked, bank.floor),
            required_samplers(asked),
            alpha,
            f"{asked.cut} {asked.value:g}",
        )
        if not asked.cut:  # a cut-off cuts the odds of ending, too
            ended = [*((name, families[name]) for name in members), *((name, "clipping") for name, _ in LENGTHS)]
            ending, length = run_process(length_ratios(evidence, honest, members, lost), ended, alpha / 2)
            settings += setting_facts(ending, length_likelihoods(evidence, honest), required_lengths(), alpha)
    else:
        bank = Bank(tuple(Alternative(n, families[n]) for n in members), FAVOURED)
        ratios = _charged(ratios, members, recut)
    process = EProcess(bank)
    weights = process_facts(process, process.fold(ratios), ratios, alpha)
    kept = EProcess(bank)
    kept.fold(replace(ratios, lost=()))
    untold = _untold(process, weights, drawn, recut)
    return AuditFacts(
        alpha=alpha,
        requests=ratios.requests,
        lost=len(lost),
        neutral=neutral,
        # the probability of a text is that of all its ways of being written, of which the cut one is the least known
        repeated=0 if recut else repeated_replies(evidence, honest[0], REPEATED),
        log_e_kept=min(kept.log_e(), kept.log_e_tolerant()),
        tokens=len(ratios.request),
        honest=tuple(honest),
        weights=weights,
        sampler=drawn,
        length=length,
        settings=settings,
        sampler_lead=drawn.best - _best_listed(process, len(members), weights.best, asked) if drawn else -math.inf,
        logprobs=logprob_facts(evidence, honest, {name: families[name] for name in members}, alpha),
        recut=recut,
        builds=_builds(
            evidence, process, honest[0], {n: families[n] for n in members}, sizes, alpha, untold, cut=bool(asked.cut)
        ),
        untold=untold,
        certified=-math.inf if untold or asked.cut else _certified(evidence, members, sizes, honest[0], alpha),
        smallest=_smallest(ratios, bank, len(members), alpha),
    )


def first_accusation(
    evidence: Mapping[str, Sequence[TokenEvidence]],
    honest: Sequence[str],
    families: Mapping[str, str],
    near: Sequence[str],
    alpha: float,
) -> tuple[float, int, str]:
    """Log e of the weights process, the first request at which any axis accuses (0: none does), and which axis that is.

    For hosts of known weights; the rows of the bank may be brief.
    """
    members = list(families)
    far = [name for name in members if name not in near]
    ratios = weight_ratios(evidence, honest, members, (), 0, far)
    process = EProcess(audit_bank(families, near))
    weights = process.first_crossing(process.fold(ratios), alpha) or 0
    _, drawn = run_process(
        sampler_ratios(evidence, honest, ()), [(n, "sampling") for n in sampler_names(Sampler())], alpha / 2
    )
    ended = [*families.items(), *((name, "clipping") for name, _ in LENGTHS)]
    _, length = run_process(length_ratios(evidence, honest, members, ()), ended, alpha / 2)
    around = min(drawn.crossed_at or math.inf, length.crossed_at or math.inf)
    at, axis = min((weights or math.inf, "identity"), (around, "integrity"))
    log_e = min(process.log_e(), process.log_e_tolerant())
    return (log_e, int(at), axis) if math.isfinite(at) else (log_e, 0, "")


def audit_bank(families: Mapping[str, str], near: Sequence[str]) -> Bank:
    """The bank of an audit: listed members, those that are not ``near`` at several strengths, and alternatives without a name.

    The latter are in the order of the columns of ``weight_ratios``.
    """
    listed = [
        Alternative(name, family) if name in near else Alternative(name, family, STRENGTHS, TOLERANCE_OF_FAR)
        for name, family in families.items()
    ]
    nameless = (*UNLISTED, *warm_names([name for name in families if name not in near]))
    return Bank((*listed, *(Alternative(name, "unlisted") for name in nameless)), FAVOURED)


def _best_listed(process: EProcess, listed: int, best: float, asked: Sampler) -> float:
    """What samplers are held against; members without a name are not cut, so that under a cut-off they stand for its absence."""
    return best if not asked.cut else float(process.numerators[process.bank.column < listed].max())


def _untold(process: EProcess, weights: ProcessFacts, sampler: ProcessFacts | None, recut: RecutFacts | None) -> str:
    """Why single builds are not judged: their ratios would rest on what this host did not do, or did not tell.

    Other weights move the sampler's process, too; where the weights do not stand it is no sign of a sampler of its own.
    """
    if recut:
        return "the host tells no ids"
    if process.too_many_lost:
        return "too many replies were lost"
    foreign = sampler is not None and sampler.crossed_at and not weights.crossed_at
    return "tokens are not sampled as asked for" if foreign else ""


def _builds(
    evidence: Mapping[str, Sequence[TokenEvidence]],
    process: EProcess,
    honest: str,
    families: Mapping[str, str],
    sizes: Mapping[str, float],
    alpha: float,
    untold: str,
    *,
    cut: bool,
) -> tuple[BuildFacts, ...]:
    """What the replies say of every listed build, or that nothing can be said."""
    names = list(families)
    if untold:
        return tuple(
            BuildFacts(
                name=name, family=families[name], divergence=sizes[name], log_e_against=math.nan, excluded=False,
                share_low=0.0, share_high=1.0,
            )
            for name in names
        )  # fmt: skip
    builds = build_likelihoods(evidence, honest, names, process.bank.floor, cut=cut)
    shares = routing_shares(process, builds, names, alpha)
    return tuple(
        BuildFacts(
            name=one.name, family=families[one.name], divergence=sizes[one.name], log_e_against=one.log_e,
            excluded=one.excluded, share_low=share.low, share_high=share.high,
        )
        for one, share in zip(exclusions(process, builds, names, alpha), shares, strict=True)
    )  # fmt: skip


def _charged(ratios: TokenRatios, members: Sequence[str], recut: RecutFacts) -> TokenRatios:
    """The listed members alone, with the charges of a host without ids."""
    charges = Charges(np.array([recut.members[name] for name in members]), np.array(recut.settings))
    return TokenRatios(
        ratios.requests, ratios.request, ratios.members[:, : len(members)], ratios.honest, ratios.lost, charges
    )


def _certified(
    evidence: Mapping[str, Sequence[TokenEvidence]],
    members: Sequence[str],
    sizes: Mapping[str, float],
    honest: str,
    alpha: float,
) -> float:
    """The best certified effect over the bank; every member pays for every clip, because the replies choose it."""
    found, tests = [-math.inf], len(members) * len(CLIPS)
    for name in members:
        reach = 4.0 * math.sqrt(2.0 * max(sizes[name], 1e-6))
        clip = next((place for place, bound in enumerate(CLIPS) if bound >= reach), len(CLIPS) - 1)
        gains, means, _ = clipped_gains(evidence, name, honest, clip)
        found.append(certified_effect(np.clip(gains, -CLIPS[clip], CLIPS[clip]), means, CLIPS[clip], alpha, tests))
    return max(found)


def _smallest(ratios: TokenRatios, bank: Bank, listed: int, alpha: float) -> float:
    """The divergence at which any exact build among the first ``listed`` is found with 95 % probability in such an audit.

    By calculation; what a host without ids is charged comes on top, spread over a reply's tokens.
    """
    tokens = len(ratios.request)
    if not listed or not tokens:
        return math.inf
    length = tokens / max(ratios.requests - len(ratios.lost), 1)
    charge = float(ratios.charges.members.max()) if ratios.charges else 0.0
    found = [
        smallest_divergence(tokens, length, barrier(bank, place, 1.0, alpha), 0.95, tolerance=one.tolerance)
        for place, one in enumerate(bank.alternatives[:listed])
    ]
    return max(found) + charge / length
