"""What other prompts cost: the divergence that they cause on the reference's own weights, beside a ladder of damage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from harness.comparisons.model import CheckResult, Result
from harness.evidence.clustered import Estimate, positive_mean_interval
from harness.evidence.ladder import equivalent_bits

Divergences = Sequence[NDArray[np.float64]]


class Rung(Result):
    """The reference rounded to some bits, with the sound prompts: nats at the first token, and per token of the reply."""

    bits: int
    first: float
    reply: float


class Impact(Result):
    """What the difference of prompts costs on the reference's weights.

    KL(P || Q) in nats, where P answers the reference's prompt and Q the other one, on the same reply, which the
    reference sampled to its own prompt. The unit of independence is the conversation. ``bits`` reads ``reply`` off the
    ladder: rounding to so many bits displaces as much.
    """

    conversations: tuple[str, ...]
    tokens: int
    first: CheckResult
    reply: CheckResult
    rungs: tuple[Rung, ...]
    bits: CheckResult | None

    @property
    def sentence(self) -> str:
        """In one sentence, for a reader who knows what a nat is."""
        count = len(self.conversations)
        head = (
            f"On the reference's weights this costs {self.first.value:.3g} nats at the first token and "
            f"{self.reply.value:.3g} per token of the reply ({count} conversations that differ)"
        )
        if self.bits is None:
            return f"{head}."
        note = f"; {self.bits.note}" if self.bits.note else ""
        reading = f"{self.bits.value:.1f} bits ({self.bits.low:.1f} to {self.bits.high:.1f}{note})"
        return f"{head}: as much as rounding to {reading}."


def weigh(cases: Sequence[str], faulty: Divergences, rungs: Mapping[int, Divergences]) -> Impact:
    """Put divergences per conversation and token into means with intervals. Pure.

    Args:
        cases: the conversations' names.
        faulty: for each conversation the divergences of the other prompt, one per token of the reply, first to last.
        rungs: for each bit width the same for the reference rounded to it.

    With one conversation there is no interval, and the note says so. Infinite divergences are kept: they make means
    infinite, which is what they are.

    """
    clusters = np.concatenate([np.full(len(d), k) for k, d in enumerate(faulty)])
    values = np.concatenate(list(faulty))
    firsts = np.array([d[0] for d in faulty])
    reply = positive_mean_interval(values, clusters)
    first = positive_mean_interval(firsts, np.arange(len(firsts)))
    count = np.array([len(d) for d in faulty], dtype=np.float64)
    sums = {float(bits): np.array([d.sum() for d in found]) for bits, found in rungs.items()}
    bits = equivalent_bits(np.array([d.sum() for d in faulty]), sums, count) if sums and len(faulty) > 1 else None
    return Impact(
        conversations=tuple(cases),
        tokens=len(values),
        first=_result("kl_first_token", "KL at the first token of the reply", "nats", first),
        reply=_result("kl_reply", "KL per token of the reply", "nats", reply),
        rungs=tuple(
            Rung(
                bits=bits,
                first=float(np.mean([d[0] for d in found])),
                reply=float(np.concatenate(list(found)).mean()),
            )
            for bits, found in sorted(rungs.items(), reverse=True)
        ),
        bits=None if bits is None else _result("equivalent_bits", "bits that displace as much", "bits", bits),
    )


def _result(key: str, title: str, unit: str, estimate: Estimate) -> CheckResult:
    return CheckResult.of(key, title, unit, "lower", estimate)
