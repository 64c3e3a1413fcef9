"""What a bank's members are charged on a host that tells no ids: from local replies, scored as written and as cut anew. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.comparisons.model import Result
from harness.comparisons.replies import Evidence, length_ratios, weight_ratios
from harness.evidence.clustered import Floats
from harness.evidence.sequential.recut import MOST_PER_REPLY, recut_charge
from harness.targets.token_evidence import CLAIMED, empty_evidence


@dataclass(frozen=True, slots=True)
class MovedReplies:
    """Of the local replies of one configuration those that its tokenizer cuts otherwise, as written and as cut, scored."""

    draws: int  # replies that were drawn in all
    length: float  # audible tokens of all of them in the mean
    written: Evidence
    cut: Evidence


class RecutFacts(Result):
    """How much a reply without ids is charged, in nats: per member, and per sampler and honest configuration beyond that."""

    draws: int
    moved: float  # share of the reference's replies that its tokenizer cuts otherwise
    members: dict[str, float]
    settings: tuple[tuple[float, ...], ...]
    dear: tuple[str, ...]  # members whose charge eats more than half of what they would gain: not testable without ids


def measure_charges(moved: Mapping[str, MovedReplies], honest: Sequence[str]) -> RecutFacts:
    """Charges per member, and what honest configurations get on top, from the moved replies of each and of the reference.

    The charge of a member holds against the reference at the claimed sampler; ``settings`` holds the largest excess over
    that charge, over members and the reference's own share of a numerator, at any other honest configuration.
    """
    found = {name: _charge(name, replies, honest) for name, replies in moved.items()}
    charges = {name: float(charge[CLAIMED, 0]) for name, charge in found.items()}
    gains = {name: _gain(name, replies) for name, replies in moved.items() if name not in honest}
    dear = tuple(name for name, gain in gains.items() if charges[name] > 0.5 * gain)
    excess = np.stack([charge - charges[name] for name, charge in found.items() if name not in dear])
    settings = np.maximum(excess.max(0), 0.0)
    settings[CLAIMED, 0] = 0.0
    centre = moved[honest[0]]
    return RecutFacts(
        draws=min(replies.draws for replies in moved.values()),
        moved=len(centre.written[honest[0]]) / centre.draws,
        members={name: charge for name, charge in charges.items() if name not in honest},
        settings=tuple(tuple(float(one) for one in row) for row in settings),
        dear=dear,
    )


def _gain(name: str, moved: MovedReplies) -> float:
    """What a member gains on one of its own replies, in nats and under the cap; infinite where no reply was scored."""
    rows = np.concatenate([empty_evidence(0), *moved.written[name]])
    divergence = rows["kl_cand_ref"][rows["silent"] == 0]
    return min(float(divergence.mean()) * moved.length, MOST_PER_REPLY) if len(divergence) else np.inf


def _charge(name: str, moved: MovedReplies, honest: Sequence[str]) -> Floats:
    """Charges of one configuration against every honest one, ``[settings, configurations]``."""
    listed = () if name == honest[0] else (name,)
    (cut, honest_cut), (written, honest_written) = (_sums(one, honest, listed) for one in (moved.cut, moved.written))
    shift = (np.minimum(cut, MOST_PER_REPLY) - written)[:, None, None] - honest_cut + honest_written
    if not listed:
        charge = recut_charge(shift, np.zeros(len(shift)), moved.draws)
        charge[CLAIMED, 0] = 0.0  # the reference over itself is 1, however a text is cut
        return charge
    ends = length_ratios(moved.written, honest, listed, ())
    return recut_charge(shift, -ends.per_request(ends.members)[:, 0], moved.draws)


def _sums(evidence: Evidence, honest: Sequence[str], listed: Sequence[str]) -> tuple[Floats, Floats]:
    """Per reply, log-likelihoods over the reference's: of a member (0 for the reference), and of every honest configuration."""
    ratios = weight_ratios(evidence, honest, listed, (), 0)
    return ratios.per_request(ratios.members[:, : len(listed)]).sum(1), ratios.per_request(ratios.honest)
