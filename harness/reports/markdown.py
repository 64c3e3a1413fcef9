"""The scorecard as Markdown, for pull requests and issue threads."""

from __future__ import annotations

from harness.numbers import interval, number, valued
from harness.redact import safe_markdown
from harness.reports.scorecard import CandidateCard, Scorecard
from harness.verdicts.catalogue import entry

SHOWN = ("kl_ref_cand", "kl_lower", "ear", "top1_agreement", "confident_flips", "ppl_ratio", "kl_p99")


def render_markdown(scorecard: Scorecard) -> str:
    """A short report: one block per candidate, numbers with intervals, findings, limits."""
    suite = scorecard.suite
    lines = [
        f"### Fidelity: {scorecard.outcome}",
        "",
        f"Reference **{safe_markdown(scorecard.reference.folder)}**; suite {suite.name} v{suite.version} "
        f"({suite.profile}): {suite.tokens:,} scored tokens over {suite.documents} documents.",
        "",
    ]
    for card in scorecard.candidates:
        lines += _candidate(card)
    lines += ["<details><summary>What this cannot show</summary>", ""]
    lines += [f"- {safe_markdown(limit, 400)}" for limit in suite.cannot_show]
    lines += ["", "</details>", "", f"Run `{scorecard.run}`, plan `{scorecard.plan[:12]}`.", ""]
    return "\n".join(lines)


def _candidate(card: CandidateCard) -> list[str]:
    evidence, verdict = card.evidence, card.verdict
    cause = f" (cause: {verdict.cause})" if verdict.cause else ""
    lines = [
        f"#### {safe_markdown(evidence.label)}, claimed {safe_markdown(evidence.claim)}: {verdict.outcome}{cause}",
        "",
        safe_markdown(verdict.sentence, 600),
        "",
    ]
    checks = [check for check in evidence.checks if check.key in SHOWN]
    if checks:
        lines += ["| check | value | 95 % interval | honest band | note |", "|---|---|---|---|---|"]
        lines += [
            f"| {check.title.replace('|', chr(92) + '|')} | {valued(check.value, check.unit)} "
            f"| {interval(check.low, check.high, check.unit)} | {valued(check.floor, check.unit)} | {check.note} |"
            for check in checks
        ]
        lines.append("")
    if evidence.ladder:
        ladder = evidence.ladder
        note = f" ({ladder.note})" if ladder.note else ""
        lines += [f"Behaves like {number(ladder.bits, 2)}-bit round to nearest{note}.", ""]
    for finding in card.findings:
        about = entry(finding.code)
        lines.append(f"- `{finding.code}` {about.severity} {about.title}: {safe_markdown(finding.detail, 300)}")
    return [*lines, ""]
