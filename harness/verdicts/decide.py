"""From evidence to verdict: one pure function per axis, and the rule that joins them."""

from __future__ import annotations

import math

from harness.evidence.equivalence import clusters_needed, detectable_ratio
from harness.numbers import number
from harness.verdicts.attribution import cause_of, distribution_findings, holds_fewer_bits, without_charges
from harness.verdicts.evidence import CandidateEvidence
from harness.verdicts.file_findings import file_findings, not_applied, not_exercised, with_prompts
from harness.verdicts.gates.telling import gate_sentence
from harness.verdicts.identity import judge_identity
from harness.verdicts.model import AxisVerdict, Cause, Finding, Outcome, Verdict, worst

#: How many times the widest honest configuration's KL a candidate may have. Declared, not fitted: an effect under
#: twice the floor cannot be told from the floor.
MARGIN = 2.0


def decide(evidence: CandidateEvidence) -> tuple[Verdict, list[Finding]]:
    """The verdict on one candidate under its claim, and the findings behind it."""
    findings = with_prompts(file_findings(list(evidence.differences)) + _prompt_findings(evidence), evidence.tokens_in)
    findings += evidence.stated
    findings += distribution_findings(evidence)
    integrity = _integrity(evidence, findings)
    displacement = _displacement(evidence, findings)
    same = _same_function(evidence, displacement)
    if same:
        findings = without_charges(findings)
    if displacement.outcome is Outcome.BEYOND and not _merely_stored(evidence):
        findings.append(Finding(code="DIST307" if _failed(evidence) else "DIST301", detail=displacement.reason))
    identity = judge_identity(evidence, displacement, same=same)
    harm = AxisVerdict(axis="harm", outcome=Outcome.NOT_RUN, reason="no task suite was part of this run")
    axes = (integrity, identity, displacement, harm)  # in the order of the layers: the lowest fault comes first
    outcome = worst([axis.outcome for axis in axes])
    lead = displacement if outcome is displacement.outcome is Outcome.WITHIN else None
    lead = lead or next((axis for axis in axes if axis.outcome is outcome), displacement)
    others = [str(a.cause) for a in axes if a.outcome is Outcome.BEYOND and a.cause not in {None, lead.cause}]
    sentence = lead.reason + (f" Also: {', '.join(sorted(set(others)))}." if others else "")
    sentence += not_applied(findings)
    verdict = Verdict(
        outcome=outcome, cause=lead.cause, sentence=sentence, overturn=_overturn(outcome, evidence), axes=axes
    )
    return verdict, findings


def partial_verdict(verdict: Verdict, progress: str) -> Verdict:
    """The verdict of an unfinished run: what is beyond may stand, but nothing is within before all of it was measured.

    Items are measured in the suite's order, so what is missing is no random part of it.
    """
    axes = tuple(
        axis.model_copy(update={"outcome": Outcome.INCONCLUSIVE, "reason": f"So far: {axis.reason}"})
        if axis.outcome is Outcome.WITHIN and axis.axis in {"displacement", "identity"}
        else axis
        for axis in verdict.axes
    )
    outcome = worst([axis.outcome for axis in axes])
    sentence = f"Only part of the run ({progress}). {verdict.sentence}"
    return verdict.model_copy(
        update={"axes": axes, "outcome": outcome, "sentence": sentence, "overturn": "The rest of the run."}
    )


def _same_function(evidence: CandidateEvidence, displacement: AxisVerdict) -> bool:
    """Whether the candidate computes what its claim computes: a lax gate that it passes does not say so."""
    if displacement.outcome is not Outcome.WITHIN:
        return False
    band = evidence.band
    return evidence.policy is None or evidence.all_zero or (band is not None and band.high <= MARGIN)


def _merely_stored(evidence: CandidateEvidence) -> bool:
    """Whether it is the weights that break the claim, and the distribution moves no further than the claim allows."""
    return evidence.policy is None and evidence.band is not None and evidence.band.fail_low <= MARGIN


def _failed(evidence: CandidateEvidence) -> bool:
    return evidence.policy is not None and evidence.policy.status == "failed"


def _prompt_findings(evidence: CandidateEvidence) -> list[Finding]:
    found = []
    for code, kind, total in (("TOKN102", "text", evidence.prompts.texts), ("TMPL102", "chat", evidence.prompts.chats)):
        items = [d for d in evidence.prompts.differing if d.kind == kind]
        if items:
            first = items[0]
            detail = f"{len(items)} of {total} items, first {first.item} at token {first.position}"
            found.append(Finding(code=code, detail=detail))
    if evidence.prompts.problem:
        found.append(Finding(code="TMPL103", detail=evidence.prompts.problem))
    return found


def _integrity(evidence: CandidateEvidence, findings: list[Finding]) -> AxisVerdict:
    """Do both sides see the same prompt? Judged on the ids of the suite's own items."""
    codes = {finding.code for finding in findings}
    if codes & {"TOKN101", "TOKN102"}:
        reason = "The same text becomes other ids: the tokenizer is not the reference's."
        return AxisVerdict(axis="integrity", outcome=Outcome.BEYOND, cause=Cause.TOKENIZER, reason=reason)
    if codes & {"TMPL102", "TMPL103"}:
        reason = "The same conversations become other prompts: the chat template is not the reference's."
        return AxisVerdict(axis="integrity", outcome=Outcome.BEYOND, cause=Cause.TEMPLATE, reason=reason)
    if evidence.tokens_in and evidence.tokens_in.verdict.outcome in {Outcome.BEYOND, Outcome.INCONCLUSIVE}:
        return evidence.tokens_in.verdict
    count = evidence.prompts.texts + evidence.prompts.chats
    if not count:
        return AxisVerdict(axis="integrity", outcome=Outcome.NOT_RUN, reason="no items were encoded by both sides")
    reason = f"All {count} items become the same ids on both sides."
    return AxisVerdict(axis="integrity", outcome=Outcome.WITHIN, reason=reason)


def _displacement(evidence: CandidateEvidence, findings: list[Finding]) -> AxisVerdict:
    """How far is the distribution? Judged by the gate where one is given, else against the honest band."""
    if evidence.unscored:
        more = f" {evidence.bits_per_byte.sentence}" if evidence.bits_per_byte else ""
        return AxisVerdict(axis="displacement", outcome=Outcome.NOT_TESTABLE, reason=evidence.unscored + more)
    if evidence.violations or evidence.non_finite:
        reason = "The candidate's logits are not finite, or rule out ids that the reference can emit."
        return AxisVerdict(axis="displacement", outcome=Outcome.BEYOND, cause=Cause.NUMERICS, reason=reason)
    if evidence.policy:
        return _by_policy(evidence, findings)
    unseen = not_exercised(evidence)
    if unseen:
        return _with_other_config(evidence, findings, unseen)
    if evidence.all_zero:
        reason = "Not one of the scored tokens differs: the same distribution as the reference."
        return AxisVerdict(axis="displacement", outcome=Outcome.WITHIN, reason=reason)
    if evidence.claim_problem:
        return AxisVerdict(axis="displacement", outcome=Outcome.NOT_TESTABLE, reason=evidence.claim_problem)
    if evidence.band is None:
        reason = "No honest band was measured, so there is no yardstick; give --gate, or leave the band on."
        return AxisVerdict(axis="displacement", outcome=Outcome.NOT_TESTABLE, reason=reason)
    return _by_band(evidence, findings)


def _by_band(evidence: CandidateEvidence, findings: list[Finding]) -> AxisVerdict:
    band = evidence.band
    assert band is not None
    against = (
        f"{number(band.ratio)} times the KL of '{band.member}' "
        f"(95 % interval {number(band.low)} to {number(band.high)})"
    )
    if band.fail_low > MARGIN:
        cause, why = cause_of(evidence, findings)
        reason = f"Inconsistent with the claim {evidence.claim}: {against}; best explained by {cause}: {why}."
        return AxisVerdict(axis="displacement", outcome=Outcome.BEYOND, cause=cause, reason=reason)
    if holds_fewer_bits(evidence):
        weights = evidence.weights
        reason = (
            f"Inconsistent with the claim {evidence.claim}: {weights.on_grid} of {weights.changed_matrices} changed matrices "
            f"hold no more than the grid '{weights.grid}', which such a claim rules out. It moves the distribution by {against}."
        )
        return AxisVerdict(axis="displacement", outcome=Outcome.BEYOND, cause=Cause.QUANTIZATION, reason=reason)
    if band.low == band.high == 1.0:
        reason = f"Consistent with the claim {evidence.claim}: exactly what '{band.member}' of the reference gives."
        return AxisVerdict(axis="displacement", outcome=Outcome.WITHIN, reason=reason)
    if band.high <= MARGIN and band.rest_low > MARGIN * band.limit > 0:
        reason = (
            f"Undecided: {against}, but on the items where the band was not measured the candidate moves at least "
            f"{number(band.rest_low)} nat per token. Measure the band on all items (--profile full) or give --claim."
        )
        return AxisVerdict(axis="displacement", outcome=Outcome.INCONCLUSIVE, reason=reason)
    if band.high <= MARGIN:
        smallest = detectable_ratio(MARGIN, band.accusing_reach, band.se)
        reason = (
            f"Consistent with the claim {evidence.claim}: {against}, at most {MARGIN:g} times; "
            f"a true ratio of {number(smallest)} would have been found with 80 % power."
        )
        return AxisVerdict(axis="displacement", outcome=Outcome.WITHIN, reason=reason)
    reach = band.accusing_reach if band.ratio > MARGIN else math.log(band.high / band.ratio)
    needed = clusters_needed(abs(math.log(band.ratio) - math.log(MARGIN)), reach, band.clusters)
    smallest = detectable_ratio(MARGIN, band.accusing_reach, band.se)
    where = f"straddles {MARGIN:g} times"
    if band.low > MARGIN:
        where = f"lies above {MARGIN:g} times, but not by the wider interval that an accusation needs"
    reason = (
        f"Undecided: {against} {where}. About {needed} documents in place of {band.clusters} would "
        f"decide; the smallest ratio that this run would have found with 80 % power is {number(smallest)}."
    )
    return AxisVerdict(axis="displacement", outcome=Outcome.INCONCLUSIVE, reason=reason)


def _with_other_config(evidence: CandidateEvidence, findings: list[Finding], unseen: list[str]) -> AxisVerdict:
    """A configuration that computes something else on longer texts than these: beyond if it shows, undecided if it does not."""
    found = None if evidence.all_zero or evidence.band is None else _by_band(evidence, findings)
    if found is not None and found.outcome is Outcome.BEYOND:
        return found
    reason = (
        f"The configuration computes something else ({', '.join(unseen[:3])}) on texts longer than the longest item of this "
        f"suite ({evidence.longest} tokens): what was not exercised is not cleared."
    )
    return AxisVerdict(axis="displacement", outcome=Outcome.INCONCLUSIVE, reason=reason)


def _by_policy(evidence: CandidateEvidence, findings: list[Finding]) -> AxisVerdict:
    """By the gates that the user set, in place of the band."""
    policy = evidence.policy
    assert policy is not None
    count = len(policy.gates)
    name = (
        f"Policy '{policy.policy.name}'" if policy.policy.name else "The gate" if count == 1 else f"All {count} gates"
    )
    if policy.status == "passed":
        reason = f"{name} passed: {'; '.join(gate_sentence(gate) for gate in policy.gates)}."
        return AxisVerdict(axis="displacement", outcome=Outcome.WITHIN, reason=reason)
    told = [gate for gate in policy.gates if gate.status == policy.status]
    sentences = "; ".join(gate_sentence(gate) for gate in told)
    if policy.status == "failed":
        cause, why = cause_of(evidence, findings)
        reason = f"{len(told)} of {count} gates failed: {sentences}; best explained by {cause}: {why}."
        return AxisVerdict(axis="displacement", outcome=Outcome.BEYOND, cause=cause, reason=reason)
    reason = f"{len(told)} of {count} gates undecided: {sentences}."
    return AxisVerdict(axis="displacement", outcome=Outcome.INCONCLUSIVE, reason=reason)


def _overturn(outcome: Outcome, evidence: CandidateEvidence) -> str:
    if outcome is Outcome.BEYOND:
        return (
            "A claim that covers what was found (--claim), a reference that is not the one meant, or another run of the "
            "same command with another result."
        )
    if outcome is Outcome.WITHIN:
        return (
            "Items of a kind that this suite does not hold (see its limits), task scores, or a fault outside weights, "
            "tokenizer, template and next-token distribution."
        )
    return "More documents: a larger profile of the suite, or a suite of your own."
