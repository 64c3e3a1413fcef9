"""From evidence about replies to a verdict: is the host the model, is the sampler the one asked for, are replies whole?"""

from __future__ import annotations

import math

from harness.comparisons.audit import AuditFacts, ExplanationFacts
from harness.verdicts.model import AxisVerdict, Cause, Outcome

#: A family is named when it explains the replies better than the best member of any other by this many nats (e^3 = 20).
LEAD = 3.0
_CAUSES = {
    "quantization": Cause.QUANTIZATION,
    "template": Cause.TEMPLATE,
    "sampling": Cause.SAMPLING,
    "kv-cache": Cause.KV_CACHE,
    "other-model": Cause.OTHER_MODEL,
    "unlisted": Cause.UNLISTED,
}


def judge_replies(facts: AuditFacts | None, untestable: str = "") -> tuple[AxisVerdict, ...]:
    """The identity and integrity axes; ``untestable`` says why nothing could be measured."""
    if facts is None:
        return tuple(
            AxisVerdict(axis=axis, outcome=Outcome.NOT_TESTABLE, reason=untestable)
            for axis in ("identity", "integrity")
        )
    return _identity(facts), _integrity(facts)


def _identity(facts: AuditFacts) -> AxisVerdict:
    if facts.lost > 0.01 * facts.requests:
        return AxisVerdict(
            axis="identity",
            outcome=Outcome.INCONCLUSIVE,
            reason=f"{facts.lost} of {facts.requests} replies were lost; what was lost may be what differed.",
        )
    if facts.weights.crossed_at:
        best = facts.weights.explanations[0]
        cause = _CAUSES[best.family] if best.lead >= LEAD else Cause.UNLISTED
        return AxisVerdict(axis="identity", outcome=Outcome.BEYOND, cause=cause, reason=_found(facts, best))
    out = [build.name for build in facts.builds if build.excluded]
    left = [build.name for build in facts.builds if not build.excluded]
    return AxisVerdict(
        axis="identity",
        outcome=Outcome.INCONCLUSIVE,
        reason=(
            f"No evidence against the reference in {facts.tokens:,} tokens (log e {facts.weights.evidence:+.1f}, needed "
            f"{math.log(1 / facts.alpha):.1f}); an exact build of the bank from about {facts.smallest:.2g} nat/token on would "
            f"have been found. Builds ruled out: {', '.join(out) or 'none'}. Not ruled out: {', '.join(left) or 'none'}. "
            "A build that is not listed, even of the same bit width, may be neither."
        ),
    )


def _found(facts: AuditFacts, best: ExplanationFacts) -> str:
    """The sentence of an accusation: what is certain, and what explains it best."""
    named = best.lead >= LEAD and best.family != "unlisted"
    like = f"{best.best}" if best.strength > 0.9 else f"something in the direction of {best.best}"
    where = "" if best.share > 0.9 else f" on about {best.share:.0%} of requests"
    explained = f"best explained by {best.family}: {like}{where}" if named else "no listed cause explains it alone"
    return (
        f"Inconsistent with the reference after {facts.weights.crossed_at} requests, {facts.weights.crossed_tokens:,} tokens "
        f"(an honest host gets here in at most {facts.alpha:.0%} of audits; log e {facts.weights.evidence:.1f} in the end); "
        f"{explained}."
    )


def _integrity(facts: AuditFacts) -> AxisVerdict:
    """Sampler first, then lengths; both are read only where the weights stand, because other weights move them, too."""
    if facts.weights.crossed_at:
        return AxisVerdict(
            axis="integrity",
            outcome=Outcome.NOT_TESTABLE,
            reason="Sampler and lengths are judged against the reference's weights, which this host does not seem to serve.",
        )
    if facts.sampler.crossed_at:
        best = facts.sampler.explanations[0]
        return AxisVerdict(
            axis="integrity",
            outcome=Outcome.BEYOND,
            cause=Cause.SAMPLING,
            reason=(
                "Not sampled as asked for (temperature 1, from all tokens); best explained by "
                f"{best.best} (log e {facts.sampler.evidence:.1f})."
            ),
        )
    if facts.length.crossed_at:
        best = facts.length.explanations[0]
        prompted = best.family == "template" and best.lead >= LEAD
        like = f"best explained by {best.best!r}" if best.lead >= LEAD else "and no listed cause explains it alone"
        return AxisVerdict(
            axis="integrity",
            outcome=Outcome.BEYOND,
            cause=Cause.TEMPLATE if prompted else Cause.CLIPPING,
            reason=f"Replies do not end where the reference's would, {like} (log e {facts.length.evidence:.1f}).",
        )
    return AxisVerdict(
        axis="integrity",
        outcome=Outcome.INCONCLUSIVE,
        reason=(
            f"No sign of another sampler (log e {facts.sampler.evidence:+.1f}) or of replies that end elsewhere "
            f"(log e {facts.length.evidence:+.1f}); how small a change would have been seen was not measured."
        ),
    )
