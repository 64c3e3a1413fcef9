"""The scorecard as Markdown, for pull requests and issue threads."""

from __future__ import annotations

from harness.numbers import interval, number, valued
from harness.redact import safe_markdown
from harness.reports.gate_table import policy_note
from harness.reports.ranking import place_text, ranking_rows
from harness.reports.scorecard import CandidateCard, Scorecard
from harness.verdicts.catalogue import entry
from harness.verdicts.gates.telling import gate_interval, gate_value
from harness.verdicts.model import Outcome

SHOWN = ("kl_ref_cand", "kl_lower", "ear", "top1_agreement", "confident_flips", "ppl_ratio", "kl_p99")

#: A comment on a pull request holds 65,536 characters; a step summary more.
MOST_BYTES = 60_000
_NOTE_BYTES = 300
_MOST_PLACES = 40
_ORDER = (Outcome.BEYOND, Outcome.INCONCLUSIVE, Outcome.NOT_TESTABLE, Outcome.NOT_RUN, Outcome.WITHIN)


def render_markdown(scorecard: Scorecard) -> str:
    """One block per candidate, the worst first, in at most ``MOST_BYTES``: what has no room is counted by outcome."""
    suite = scorecard.suite
    lines = [
        f"### Fidelity: {scorecard.outcome}",
        "",
        f"Reference **{safe_markdown(scorecard.reference.folder)}**; suite {safe_markdown(suite.name)} v{suite.version} "
        f"({safe_markdown(suite.profile)}): {suite.tokens:,} scored tokens over {suite.documents} documents.",
        "",
    ]
    if scorecard.partial:
        lines += [f"**Only part of the run:** {safe_markdown(scorecard.partial)}.", ""]
    for note in scorecard.left_out:
        lines += [f"Left out: {safe_markdown(note)}", ""]
    if scorecard.ranking and len(scorecard.ranking.places) <= _MOST_PLACES:
        lines += ["| place | candidate | KL, nat/token | step, paired by document |", "|---|---|---|---|"]
        lines += [
            f"| {place_text(place)} | {safe_markdown(place.label)} | {number(place.value)} | {safe_markdown(step)} |"
            for place, step in ranking_rows(scorecard.ranking)
        ]
        lines.append("")
    tail = ["<details><summary>What this cannot show</summary>", ""]
    tail += [f"- {safe_markdown(limit, 400)}" for limit in suite.cannot_show]
    tail += ["", "</details>", "", f"Run `{scorecard.run}`, plan `{scorecard.plan[:12]}`.", ""]
    room = MOST_BYTES - _size(lines) - _size(tail)
    worst_first = sorted(scorecard.candidates, key=lambda card: _ORDER.index(card.verdict.outcome))
    left = []
    for card in worst_first:
        block = _candidate(card)
        if room - _size(block) < _NOTE_BYTES:
            left.append(card)
            continue
        room -= _size(block)
        lines += block
    if left:
        counts = ", ".join(f"{n} {word}" for word in _ORDER if (n := sum(c.verdict.outcome is word for c in left)))
        lines += [f"**{len(left)} more candidates have no room here** ({counts}); the page and the JSON have them.", ""]
    return "\n".join([*lines, *tail])


def _size(lines: list[str]) -> int:
    return len("\n".join(lines).encode()) + 1


def _candidate(card: CandidateCard) -> list[str]:
    evidence, verdict = card.evidence, card.verdict
    cause = f" (cause: {verdict.cause})" if verdict.cause else ""
    lines = [
        f"#### {safe_markdown(evidence.label)}, claimed {safe_markdown(evidence.claim)}: {verdict.outcome}{cause}",
        "",
        safe_markdown(verdict.sentence, 600),
        "",
    ]
    if evidence.policy:
        lines += ["| gate | value | interval | against | reading |", "|---|---|---|---|---|"]
        lines += [
            f"| `{gate.gate.text}` | {gate_value(gate)} | {gate_interval(gate)} | {safe_markdown(gate.against)} "
            f"| {gate.status}{f', about {gate.more:,} more documents would decide' if gate.more else ''} |"
            for gate in evidence.policy.gates
        ]
        lines += ["", f"{policy_note(evidence.policy)}.", ""]
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
