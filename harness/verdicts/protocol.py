"""Findings about the protocol around replies: told beside the verdict, with counts; none of them accuses by itself."""

from __future__ import annotations

from harness.comparisons.protocol import ProtocolFacts
from harness.verdicts.model import Finding


def protocol_findings(facts: ProtocolFacts, ignored: tuple[str, ...] = ()) -> tuple[Finding, ...]:
    """What the counts amount to; ``ignored`` are parameters that were taken without complaint and without effect."""
    found = []
    if facts.prompts_differ:
        found.append(_prompts(facts))
    if len(facts.models) > 1 or len(facts.providers) > 1:
        ways = [f"as {', '.join(facts.models)}"] * (len(facts.models) > 1)
        ways += [f"from {', '.join(facts.providers)}"] * (len(facts.providers) > 1)
        found.append(Finding(code="INTG507", detail=f"answers came {' and '.join(ways)}"))
    if len(facts.fingerprints) > 1:
        found.append(Finding(code="INTG508", detail=f"{', '.join(facts.fingerprints)}"))
    if facts.renamed:
        asked, told = ", ".join(facts.wanted), ", ".join(facts.models)
        detail = f"{facts.renamed} of {facts.replies} answers; asked for {asked}, answered {told}"
        found.append(Finding(code="INTG519", detail=detail))
    if facts.short:
        detail = f"{facts.short} of {facts.replies} replies are billed with more tokens than they hold"
        found.append(Finding(code="INTG520", detail=detail))
    if facts.sums_wrong:
        found.append(Finding(code="INTG509", detail=f"{facts.sums_wrong} of {facts.replies} bills do not add up"))
    if facts.marked:
        detail = f"{facts.marked} of {facts.replies} replies, for example {', '.join(facts.markers)}"
        found.append(Finding(code="INTG510", detail=detail))
    if facts.unsound:
        found.append(Finding(code="INTG512", detail=f"{facts.unsound} of {facts.told} tokens"))
    if ignored:
        found.append(Finding(code="INTG511", detail=", ".join(ignored)))
    return tuple(found)


def _prompts(facts: ProtocolFacts) -> Finding:
    every = facts.shift_in == facts.prompts_billed
    detail = (
        f"every prompt is billed with {facts.shift:+d} tokens"
        if every
        else f"{facts.prompts_differ} of {facts.prompts_billed} prompts are billed with another length "
        f"(most often {facts.shift:+d}, in {facts.shift_in})"
    )
    return Finding(code="INTG506", detail=detail)


def repeats(told: str) -> Finding:
    """What of a log came twice and was left out, in words."""
    return Finding(code="INTG521", detail=told)
