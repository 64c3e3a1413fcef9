"""From evidence about replies to a verdict: is the host the model, is the sampler the one asked for, are replies whole?"""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.comparisons.audit import AuditFacts
from harness.comparisons.controls import ControlFacts
from harness.comparisons.processes import ExplanationFacts, ProcessFacts
from harness.evidence.sequential.eprocess import MOST_LOST
from harness.targets.sampler import Sampler
from harness.verdicts.logprobs import judge_logprobs, settled_logprobs
from harness.verdicts.model import AxisVerdict, Cause, Outcome
from harness.verdicts.naming import in_few_words

#: A family is named when it explains the replies better than the best member of any other by this many nats (e^3 = 20).
LEAD = 3.0
#: Evidence, in nats, up to which nothing stirs: an e-value of 10 comes up on one honest host in ten at most.
QUIET = math.log(10.0)
#: A host is not cleared while a build that matters may have served more than this share of the audit's requests.
MOST_SHARE = 0.25
#: An accusation of the sampler or of lengths ends an audit when this many times the requests that it took were answered and the
#: weights stayed quiet: other weights and prompts move sampler and lengths, too, and may be heard a little later.
HEARD_OUT = 2
#: Evidence is front-loaded if the first tokens of replies gain this many times what the last ones do.
EARLY = 2.0
_CAUSES = {
    "quantization": Cause.QUANTIZATION,
    "template": Cause.TEMPLATE,
    "sampling": Cause.SAMPLING,
    "kv-cache": Cause.KV_CACHE,
    "other-model": Cause.OTHER_MODEL,
    "unlisted": Cause.UNLISTED,
}


_TOLD_LITTLE = " The host refused the fields that switch off cut-offs and penalties of its own, which may be honest."


def judge_replies(
    facts: AuditFacts | None,
    untestable: str = "",
    sampler: Sampler | None = None,
    required: Sequence[str] = (),
    controls: Sequence[ControlFacts] = (),
) -> tuple[AxisVerdict, ...]:
    """The identity and integrity axes, and displacement where log-probabilities are told; ``untestable`` says why nothing could
    be measured, ``sampler`` what was asked for.

    WITHIN is a statement of its own: every build in ``required`` is ruled out, nothing unlisted stirs, and of ``controls`` the
    honest one stands and both bad ones were found. Without any of these a silence is INCONCLUSIVE.
    """
    if facts is None or untestable:
        return _both(Outcome.NOT_TESTABLE, untestable or "Nothing was answered.")
    honest = next((one for one in controls if one.role == "honest" and not one.sound), None)
    if facts.repeated and not honest:
        return _cached(facts)
    if facts.lost > MOST_LOST * facts.requests:
        return _both(
            Outcome.INCONCLUSIVE,
            f"{facts.lost} of {facts.requests} replies were lost; what was lost may be what differed "
            f"(log e {facts.weights.evidence:+.1f} with every lost reply counted against the accusation, "
            f"{facts.log_e_kept:+.1f} if the loss did not depend on what was said).",
        )
    if not facts.tokens and not (facts.length and facts.length.crossed_at):
        return _both(Outcome.NOT_TESTABLE, "No reply holds a token that can be scored.")
    if honest:
        return _both(Outcome.INCONCLUSIVE, _unsound(honest))
    text = _identity(facts, required, controls), _integrity(facts, sampler or Sampler(), controls)
    return (*text, judge_logprobs(facts.logprobs, required, neutral=facts.neutral)) if facts.logprobs else text


def controlled_below(verdict: AxisVerdict, controls: Sequence[ControlFacts], *, prompts: bool) -> AxisVerdict:
    """The verdict of a layer below the text, unless a host that is vouched for does not stand.

    Prompts are compared on both: they fall where the vouched host's differ from the reference's, too, or were not measured.
    """
    unsound = [one for one in controls if one.role == "honest" and not one.member and not one.sound]
    honest = next((one for one in unsound if not prompts or one.untestable or one.axis == "prompts"), None)
    if honest and verdict.outcome is Outcome.BEYOND:
        return AxisVerdict(axis=verdict.axis, outcome=Outcome.INCONCLUSIVE, reason=_unsound(honest))
    return verdict


def _unsound(honest: ControlFacts) -> str:
    if honest.untestable:
        return (
            f"The honest control ({honest.name}) could not be measured: {honest.untestable}. Without it nothing is said of the "
            "host, because it was asked for."
        )
    how = (
        "does not make the reference's prompts either"
        if honest.axis == "prompts"
        else f"was accused, too, after {_counted(honest.found_at, 'request')} ({honest.axis})"
    )
    return (
        f"The honest control ({honest.name}) {how}: something other than the host is wrong, and nothing is said of it."
    )


def _cached(facts: AuditFacts) -> tuple[AxisVerdict, ...]:
    """Replies that were not sampled: they say nothing about weights, and enough about the host."""
    untested = AxisVerdict(
        axis="identity",
        outcome=Outcome.NOT_TESTABLE,
        reason="Replies are repeated instead of sampled; they neither accuse nor clear the model behind them.",
    )
    repeated = AxisVerdict(
        axis="integrity",
        outcome=Outcome.BEYOND,
        cause=Cause.PROTOCOL,
        reason=(
            f"{_counted(facts.repeated, 'reply is', 'replies are')} word for word those to other questions, which a host that "
            "samples at temperature 1 gives in at most one audit in a million: answers are repeated, or not sampled."
        ),
    )
    # a chance of one reply, repeated, would name a build with great confidence: identity is not judged at all
    return untested, repeated


def _both(outcome: Outcome, reason: str) -> tuple[AxisVerdict, ...]:
    return tuple(AxisVerdict(axis=axis, outcome=outcome, reason=reason) for axis in ("identity", "integrity"))


def _identity(facts: AuditFacts, required: Sequence[str], controls: Sequence[ControlFacts]) -> AxisVerdict:
    if not facts.tokens:
        return AxisVerdict(
            axis="identity", outcome=Outcome.NOT_TESTABLE, reason="No reply holds a token that can be scored."
        )
    if facts.weights.crossed_at:
        best = facts.weights.explanations[0]
        cause = _CAUSES[best.family] if best.lead >= LEAD else Cause.UNLISTED
        if cause is Cause.UNLISTED and not facts.neutral:  # a penalty of the host's own looks like this
            return AxisVerdict(axis="identity", outcome=Outcome.INCONCLUSIVE, reason=_found(facts, best))
        return AxisVerdict(axis="identity", outcome=Outcome.BEYOND, cause=cause, reason=_found(facts, best))
    missing = _missing(facts, required, controls)
    return AxisVerdict(
        axis="identity",
        outcome=Outcome.INCONCLUSIVE if missing else Outcome.WITHIN,
        reason=(
            f"No evidence against the reference in {facts.tokens:,} tokens (log e {facts.weights.evidence:+.1f}, needed "
            f"{math.log(1 / facts.alpha):.1f}){_sensitivity(facts)}. {_controlled(controls)}{_builds(facts)}"
            f"{f' Not cleared: {missing}.' if missing else ''}"
        ),
    )


def _missing(facts: AuditFacts, required: Sequence[str], controls: Sequence[ControlFacts]) -> str:
    """What a positive statement lacks, the first of it; empty if nothing does."""
    bad = {one.role: one for one in controls if one.role != "honest"}
    if not any(one.role == "honest" for one in controls) or set(bad) != {"listed", "unlisted"}:
        return "no honest and two known-bad controls were run"
    missed = [one for one in bad.values() if not one.sound]
    if missed:
        sizes = {build.name: build.divergence for build in facts.builds}
        size = max(sizes.get(one.member, math.inf) for one in missed)
        return f"a known-bad control of {size:.2g} nat/token was missed, so that smaller differences would be, too"
    return lacking(facts, required)


def lacking(facts: AuditFacts, required: Sequence[str]) -> str:
    """What the replies themselves lack to clear a host, controls aside; empty if nothing."""
    if max(facts.weights.log_e, facts.weights.log_e_tolerant) > QUIET:
        return "something stirs that no listed build explains"
    if not required:
        return "the bank holds no build that would have to be ruled out"
    left = [one.name for one in facts.builds if one.name in required and not one.excluded]
    if left:
        return f"{', '.join(left)} {'is' if len(left) == 1 else 'are'} not ruled out; ask more"
    wide = [one.name for one in facts.builds if one.name in required and not one.share_high <= MOST_SHARE]
    if wide:
        return f"{', '.join(wide)} may have served more than {MOST_SHARE:.0%} of the requests; ask more"
    return ""


def settled(facts: AuditFacts, required: Sequence[str]) -> bool:
    """Whether more questions would change no verdict: repeated answers, a named accusation, or nothing left to rule out."""
    if facts.lost > MOST_LOST * facts.requests and not facts.repeated:
        return False  # more answers may bring the losses under what a verdict can bear
    told = settled_logprobs(facts.logprobs, required)
    if facts.weights.crossed_at:
        best = facts.weights.explanations[0]
        return bool(told) or (best.lead >= LEAD and best.family != "unlisted")
    cleared = told is None and not lacking(facts, required) and _sampler_cleared(facts)
    return bool(facts.repeated or told) or _heard_out(facts) or cleared


def _heard_out(facts: AuditFacts) -> bool:
    """Whether sampler or lengths are accused by a cause of their own, and more questions would not turn it into another one."""
    drawn, length = facts.sampler, facts.length
    told_apart = facts.logprobs is None or not facts.logprobs.over_at
    if not facts.neutral or not told_apart or facts.weights.log_e > QUIET:  # the tolerant one is moved by samplers
        return False
    if drawn and drawn.crossed_at:
        return facts.sampler_lead >= LEAD and facts.requests >= HEARD_OUT * drawn.crossed_at
    if not length or not length.crossed_at:
        return False
    best = length.explanations[0]  # other weights end replies elsewhere, too
    return best.family == "clipping" and best.lead >= LEAD and facts.requests >= HEARD_OUT * length.crossed_at


def _sampler_cleared(facts: AuditFacts) -> bool:
    """Whether every other sampler and length that matters is ruled out, and nothing stirs."""
    if facts.sampler is None:
        return False
    heard = [facts.sampler, *([facts.length] if facts.length else [])]
    loud = max(value for one in heard for value in (one.log_e, one.log_e_tolerant)) > QUIET
    return not loud and not any(one.required and not one.excluded for one in facts.settings)


def _controlled(controls: Sequence[ControlFacts]) -> str:
    """What the controls showed."""
    if not controls:
        return ""
    told = [
        f"{one.name}, {_counted(one.requests, 'request')}: not accused"
        if one.role == "honest"
        else f"{one.name}: " + (f"found after {_counted(one.found_at, 'request')}" if one.found_at else "missed")
        for one in controls
    ]
    return f"Controls: {'; '.join(told)}. "


def _sensitivity(facts: AuditFacts) -> str:
    """What would have been found, as far as that was worked out."""
    if math.isinf(facts.smallest):
        return ""
    return (
        f"; by calculation, an exact build of the bank is found with 95 % probability from {facts.smallest:.2g} "
        "nat/token on"
    )


def _builds(facts: AuditFacts) -> str:
    dear = f" Not testable without ids: {', '.join(facts.recut.dear)}." if facts.recut and facts.recut.dear else ""
    if facts.untold:
        return f"No build is ruled out, because {facts.untold}.{dear}"
    out = [build.name for build in facts.builds if build.excluded]
    left = [build.name for build in facts.builds if not build.excluded]
    return (
        f"Builds ruled out: {', '.join(out) or 'none'}. Not ruled out: {', '.join(left) or 'none'}. "
        "A build that is not listed, even of the same bit width, may be neither."
    )


def _found(facts: AuditFacts, best: ExplanationFacts) -> str:
    """The sentence of an accusation: what is certain, and what explains it best."""
    named = best.lead >= LEAD and best.family != "unlisted"
    like = f"{best.best}" if best.strength > 0.9 else f"something in the direction of {best.best}"
    where = "" if best.share > 0.9 else f" on about {best.share:.0%} of requests"
    explained = f"best explained by {best.family}: {like}{where}" if named else "no listed cause explains it alone"
    return (
        f"Inconsistent with the reference after {_counted(facts.weights.crossed_at, 'request')}, "
        f"{_counted(facts.weights.crossed_tokens, 'token')} "
        f"(an honest host gets here with probability at most {facts.alpha:g}; log e {facts.weights.evidence:.1f} in the end); "
        f"{explained}{_profiled(facts.weights)}.{'' if facts.neutral else _TOLD_LITTLE}"
    )


def _counted(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _profiled(process: ProcessFacts) -> str:
    """Where in the replies the evidence lies: a second vote, told and not counted."""
    first, last = process.profile[0], process.profile[-1]
    if math.isnan(first.gain) or math.isnan(last.gain) or first.gain <= 0:
        return ""
    early = first.gain >= EARLY * max(last.gain, 0.0)
    like = "front-loaded, as under a changed prompt" if early else "spread evenly, as under changed weights"
    return (
        f"; its evidence is {like} ({first.gain:+.2g} nat/token over the first {process.profile[1].first}, "
        f"{last.gain:+.2g} after the first {last.first})"
    )


def _lengths(length: ProcessFacts | None) -> str:
    if length is None:
        return ", and lengths are not judged under a cut-off"
    return f" or of replies that end elsewhere (log e {length.evidence:+.1f})"


def _integrity(facts: AuditFacts, asked: Sampler, controls: Sequence[ControlFacts]) -> AxisVerdict:
    """Sampler first, then lengths; both are read only where the weights stand, because other weights move them, too."""
    if facts.weights.crossed_at:
        return AxisVerdict(
            axis="integrity",
            outcome=Outcome.NOT_TESTABLE,
            reason="Sampler and lengths are judged against the reference's weights, which this host does not seem to serve.",
        )
    sampler, length = facts.sampler, facts.length
    if sampler is None:
        return AxisVerdict(
            axis="integrity",
            outcome=Outcome.NOT_TESTABLE,
            reason="Sampler and lengths are judged by the ids of tokens, which this host does not tell.",
        )
    if sampler.crossed_at and not facts.neutral:
        return AxisVerdict(
            axis="integrity",
            outcome=Outcome.INCONCLUSIVE,
            reason=(
                f"Not sampled as asked for ({asked}); best explained by {sampler.explanations[0].best} "
                f"(log e {sampler.evidence:.1f}).{_TOLD_LITTLE}"
            ),
        )
    if sampler.crossed_at:
        best = sampler.explanations[0]
        named = facts.sampler_lead >= LEAD
        like = (
            f"best explained by {best.best}"
            if named
            else "though a build of the bank explains it about as well as any sampler"
        )
        return AxisVerdict(
            axis="integrity",
            outcome=Outcome.BEYOND,
            cause=Cause.SAMPLING if named else Cause.UNLISTED,
            reason=(
                f"Not the reference sampled as asked for ({asked}, no other cut-off, no penalties); {like} "
                f"(log e {sampler.evidence:.1f})."
            ),
        )
    if length and length.crossed_at:
        best = length.explanations[0]
        prompted = best.family == "template" and best.lead >= LEAD
        like = f"best explained by {best.best!r}" if best.lead >= LEAD else "and no listed cause explains it alone"
        return AxisVerdict(
            axis="integrity",
            outcome=Outcome.BEYOND,
            cause=Cause.TEMPLATE if prompted else Cause.CLIPPING,
            reason=f"Replies do not end where the reference's would, {like} (log e {length.evidence:.1f}).",
        )
    every = [*(one.name for one in facts.settings), f"temperature {asked.temperature:g}"]  # no range reaches across it
    out = in_few_words([one.name for one in facts.settings if one.excluded], every)
    left = in_few_words([one.name for one in facts.settings if not one.excluded], every)
    controlled = {one.role for one in controls if one.sound} == {"honest", "listed", "unlisted"}
    cleared = _sampler_cleared(facts) and controlled
    return AxisVerdict(
        axis="integrity",
        outcome=Outcome.WITHIN if cleared else Outcome.INCONCLUSIVE,
        reason=(
            f"No sign of another sampler (log e {sampler.evidence:+.1f}){_lengths(length)}. Ruled out for every "
            f"request alike: {out or 'nothing'}. Not ruled out: {left or 'nothing'}."
            f"{'' if controlled else ' Not cleared: no honest and two known-bad controls came out as they must.'}"
        ),
    )
