"""The result of a prompt comparison: the one JSON, and what the terminal shows of it."""

from __future__ import annotations

import json

from rich.console import Console
from rich.text import Text

from harness.comparisons.model import Result
from harness.redact import safe_line
from harness.verdicts.findings import entry
from harness.verdicts.model import AxisVerdict, Finding, Outcome
from harness.verdicts.tokens_in import TokensIn, severity_of

PROMPT_CARD_VERSION = 1
_COLOURS = {Outcome.WITHIN: "green", Outcome.BEYOND: "red"}
_SHOWN = 3


class PromptCard(Result):
    """Evidence, findings and verdict of one prompt comparison, with everything that pins the reference renderer."""

    prompt_card_version: int = PROMPT_CARD_VERSION
    fidelity_version: str
    renderer: str
    clock: str
    evidence: TokensIn
    verdict: AxisVerdict
    findings: tuple[Finding, ...]

    @property
    def exit_code(self) -> int:
        """0 the same prompts, 1 others, 3 not testable."""
        return {Outcome.WITHIN: 0, Outcome.BEYOND: 1}.get(self.verdict.outcome, 3)


def print_prompt_card(card: PromptCard, console: Console) -> None:
    """Print a prompt card; the last line is the verdict."""
    e = card.evidence
    for role, side in (("reference", e.reference), ("candidate", e.candidate)):
        digests = f"template {side.template[:12] or '-'}  tokenizer {side.tokenizer[:12] or '-'}"
        console.print(Text(f"{role} {safe_line(side.name)} ({side.kind})  {digests}"))
    console.print(Text(f"renderer {card.renderer}, clock {card.clock}", style="dim"))
    same, total = e.count("identical", "same ids"), len(e.pairs)
    console.print(
        Text(
            f"\n{same} of {total} conversations are the same, {e.count('whitespace')} differ in whitespace, "
            f"{e.count('differs')} differ, {e.count('only one side renders')} render on one side only, "
            f"{e.count('not applicable')} do not apply"
        )
    )
    for role, side in (("reference", e.reference), ("candidate", e.candidate)):
        if side.coverage.missed:
            lines = ", ".join(f"line {line} ({kind})" for line, kind in side.coverage.missed[:_SHOWN])
            more = " and others" if len(side.coverage.missed) > _SHOWN else ""
            seen = f"{side.coverage.branches - len(side.coverage.missed)} of {side.coverage.branches}"
            console.print(
                Text(f"the cases enter {seen} branches of the {role}'s template, not {lines}{more}", style="dim")
            )
    for finding in card.findings:
        about = entry(finding.code)
        console.print(Text(f"  {finding.code} {severity_of(finding)} {about.title}: {safe_line(finding.detail, 400)}"))
        console.print(Text(f"      fix: {about.fix}", style="dim"))
    for edit in e.diagnosis.edits if e.diagnosis else ():
        console.print(Text(f"      structure: {safe_line(edit, 240)}"))
    for pair in [p for p in e.pairs if not p.equal][:_SHOWN]:
        ours, theirs = pair.window()
        console.print(Text(f"\n  {pair.case}[{pair.number}] {pair.status}", style="bold"))
        request = {"messages": pair.request["messages"]} | {
            k: v for k, v in pair.request.items() if k in {"tools", "options"} and v
        }
        console.print(Text(f"    request   {safe_line(json.dumps(request, ensure_ascii=False), 300)}", style="dim"))
        console.print(Text(f"    reference {safe_line(repr(ours), 200)}"))
        console.print(Text(f"    candidate {safe_line(repr(theirs), 200)}"))
        if pair.reference_ids and pair.candidate_ids:
            a, b = pair.ids_window()
            console.print(Text(f"    ids       {list(a)} -> {list(b)}"))
    cause = f" cause={card.verdict.cause}" if card.verdict.cause else ""
    console.print(Text(f"\n{safe_line(card.verdict.reason, 600)}", style=_COLOURS.get(card.verdict.outcome, "yellow")))
    print(f"VERDICT: {card.verdict.outcome}{cause} exit={card.exit_code}", flush=True)  # noqa: T201 - the last line
