"""From the log-probabilities that a host tells to the verdict on the displacement axis: how far is it from the reference?"""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.comparisons.controls import ControlFacts
from harness.comparisons.logprobs import EXPLAINED, LogprobFacts, ToldBuild
from harness.evidence.sequential.band import LEAST, MOST
from harness.verdicts.model import AxisVerdict, Cause, Outcome

_HEARD = 0.9  # part of the tokens of texts that were shown, of which something must be told before it accuses
_COVERED = 0.99  # part of the tokens of which something must be told: a host could choose which
_ALIKE = 1.2  # times a build's own distance up to which a host is as far away as it
_CAUSES = {
    "quantization": Cause.QUANTIZATION,
    "kv-cache": Cause.KV_CACHE,
    "template": Cause.TEMPLATE,
    "other-model": Cause.OTHER_MODEL,
}


def judge_logprobs(facts: LogprobFacts, required: Sequence[str] = (), *, neutral: bool = True) -> AxisVerdict:
    """The displacement axis.

    WITHIN says: what is told lies nearer to the reference than a few times honest arithmetic, every build in ``required`` would
    have been found, and the text agrees with what is told as far as it was tested. A host can tell of another model than it
    serves; the text's own test, on the identity axis, is the one that stands against that.
    """
    if facts.over_at:
        cause = _cause(facts)
        best = facts.builds[0] if facts.builds else None
        vague = cause in {Cause.UNLISTED, Cause.SAMPLING} or not (best and best.left <= EXPLAINED * facts.distance)
        if not neutral and vague:  # cut-offs of its own may change what it tells
            return AxisVerdict(axis="displacement", outcome=Outcome.INCONCLUSIVE, reason=_far(facts))
        return AxisVerdict(axis="displacement", outcome=Outcome.BEYOND, cause=cause, reason=_far(facts))
    if facts.forged_at:
        return AxisVerdict(
            axis="displacement",
            outcome=Outcome.BEYOND if neutral else Outcome.INCONCLUSIVE,
            cause=Cause.PROTOCOL if neutral else None,
            reason=(
                f"The text was not drawn from the log-probabilities that the host tells (log e {facts.log_forged:.1f}, needed "
                f"{_needed(facts):.1f}, after {_requests(facts.forged_at)}): they are made up, or tokens are sampled otherwise "
                f"than asked for. {_size(facts)}"
            ),
        )
    missing = _missing(facts, required)
    return AxisVerdict(
        axis="displacement",
        outcome=Outcome.INCONCLUSIVE if missing else Outcome.WITHIN,
        reason=(
            f"{_size(facts)} {_agrees(facts)}{_sensitivity(facts)}{f' Not cleared: {missing}.' if missing else ''}"
        ),
    )


def judge_texts(
    facts: LogprobFacts | None, required: Sequence[str], controls: Sequence[ControlFacts], vouched: LogprobFacts | None
) -> tuple[AxisVerdict, ...]:
    """The axis of texts that a host was shown, where it scores any; ``vouched`` is what the honest host tells of them.

    An unsound honest control takes a verdict back, and one that was not measured as far takes an accusation back. Too few texts
    to clear anybody say nothing, unless something stirs in them.
    """
    if facts is None:
        return ()
    found = judge_logprobs(facts, required, neutral=facts.neutral).model_copy(update={"axis": "texts"})
    outcome, reason = found.outcome, found.reason
    unsound = next((one for one in controls if one.role == "honest" and not one.sound), None)
    host = next((one for one in controls if one.role == "honest" and not one.member), None)
    if outcome is Outcome.BEYOND and facts.covered < _HEARD:
        outcome, reason = Outcome.INCONCLUSIVE, f"Only {facts.covered:.0%} of the texts' tokens were told of. {reason}"
    if outcome is Outcome.BEYOND and host and not _stands(vouched, facts):
        outcome = Outcome.INCONCLUSIVE
        reason = (
            f"The honest host ({host.name}) does not stand against the same texts, or scored too few of them. {reason}"
        )
    elif unsound and outcome in {Outcome.BEYOND, Outcome.WITHIN}:
        outcome = Outcome.INCONCLUSIVE
        reason = f"The honest control ({unsound.name}) does not stand: something other than the host may be wrong."
    elif outcome is Outcome.INCONCLUSIVE and not facts.over_at and facts.log_over <= math.log(10.0):
        outcome = Outcome.NOT_TESTABLE
    return (
        AxisVerdict(
            axis="texts", outcome=outcome, cause=found.cause if outcome is Outcome.BEYOND else None, reason=reason
        ),
    )


def _stands(vouched: LogprobFacts | None, facts: LogprobFacts) -> bool:
    """Whether the honest host scored what accuses the candidate, and is not accused by it."""
    return (
        vouched is not None and not vouched.over_at and vouched.requests >= facts.over_at and vouched.covered >= _HEARD
    )


def settled_logprobs(facts: LogprobFacts | None, required: Sequence[str]) -> bool | None:
    """Whether more questions would change nothing here: True for a named accusation, None where all is cleared or untold."""
    if facts is None:
        return None
    if facts.over_at:
        return not facts.forged_at and _cause(facts) is not Cause.UNLISTED
    if facts.forged_at:
        return False  # the text's own tests may still say what it was drawn from
    return False if _missing(facts, required) else None


def _missing(facts: LogprobFacts, required: Sequence[str]) -> str:
    if not facts.under_at:
        return f"what is told may lie as far away as {MOST:g} times the honest band; ask more"
    if not facts.high <= MOST * facts.band:
        return f"the mean distance may be more than {MOST:g} times the honest band, whatever most requests say"
    if facts.covered < _COVERED:
        return f"the host tells log-probabilities of {facts.covered:.0%} of the tokens only"
    if facts.log_over > math.log(10.0) or facts.log_forged > math.log(10.0):
        return "something stirs that is not enough for an accusation"
    missed = [one.name for one in facts.builds if one.name in required and not one.found_at]
    if missed:
        return f"{', '.join(missed)} would not have been found here; ask more"
    return "" if required else "the bank holds no build that would have to be found"


def _cause(facts: LogprobFacts) -> Cause:
    """What is told names a cause only while the text may have been drawn from it: a host could choose its own charge."""
    if facts.forged_at:
        return Cause.UNLISTED
    if math.isfinite(facts.temperature):
        return Cause.SAMPLING
    return _CAUSES.get(facts.builds[0].family, Cause.UNLISTED) if facts.named else Cause.UNLISTED


def _far(facts: LogprobFacts) -> str:
    best = facts.builds[0] if facts.builds else None
    if facts.forged_at:
        like = "what they would be explained by is not told, because the text was not drawn from them"
    elif math.isfinite(facts.temperature):
        like = f"they are those of temperature {facts.temperature:.2f}"
    elif facts.named and best:
        where = (
            ""
            if best.share > 0.9 or best.left > EXPLAINED * facts.distance
            else f" on about {best.share:.0%} of requests"
        )
        like = f"best explained by {best.family}: {best.name}{where}, which leaves {best.left:.2g}{_contained(facts, best)}"
    else:
        like = f"no listed build explains them{_alike(facts)}"
    forged = f" The text was not drawn from them either (log e {facts.log_forged:.1f})." if facts.forged_at else ""
    return (
        f"The log-probabilities that the host tells are further from the reference's than {LEAST:g} times the honest band, after "
        f"{_requests(facts.over_at)} (an honest host gets here with probability at most {facts.alpha:g}; log e "
        f"{facts.log_over:.1f} in the end); {like}. {_size(facts)}{forged}"
    )


def _contained(facts: LogprobFacts, best: ToldBuild) -> str:
    """What to say where a build is in it and much is left beside it."""
    if best.left <= EXPLAINED * facts.distance:
        return ""
    rest = (
        "a cache is not rounded twice alike"
        if best.family == "kv-cache"
        else "the rest has no listed direction, as with engines that round activations, too"
    )
    return (
        f"; its own displacement lies in it {best.contained:.2f} times ({best.contained_low:.2f} to "
        f"{best.contained_high:.2f}); {rest}"
    )


def _alike(facts: LogprobFacts) -> str:
    """Builds whose own distance is about that of the host: no cause, because any build may have that size, but a lead.

    What a quantized cache does to a reply is not repeated bit for bit elsewhere, so that it can be known by its size alone.
    """
    near = [one.name for one in facts.builds if one.band and 1 / _ALIKE < facts.distance / one.band < _ALIKE]
    return f", though {' and '.join(near)} would lie as far away" if near else ""


def _agrees(facts: LogprobFacts) -> str:
    return f"The text agrees with what is told (log e {facts.log_forged:+.1f}). " if facts.drawn else ""


def _size(facts: LogprobFacts) -> str:
    return (
        f"Distance {facts.distance:.2g} nat/token ({facts.low:.2g} to {facts.high:.2g}) over {facts.listed:.0f} told ids at each "
        f"of {facts.tokens:,} tokens; honest arithmetic {facts.band:.2g}."
    )


def _sensitivity(facts: LogprobFacts) -> str:
    found = [f"{one.name} after {_requests(one.found_at)}" for one in facts.builds if one.found_at]
    missed = [one.name for one in facts.builds if not one.found_at]
    told = f"Had it told of another build: {', '.join(found) or 'none found'}"
    return f"{told}{'; not found: ' + ', '.join(missed) if missed else ''}."


def _needed(facts: LogprobFacts) -> float:
    return math.log(1.0 / facts.alpha)


def _requests(number: int) -> str:
    return f"{number:,} request{'' if number == 1 else 's'}"
