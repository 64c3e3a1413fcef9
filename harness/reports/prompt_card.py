"""The result of a prompt comparison: the one JSON, and what the terminal shows of it."""

from __future__ import annotations

import json
from collections.abc import Mapping

from rich.console import Console
from rich.text import Text

from harness.comparisons.impact import Impact
from harness.comparisons.model import Result
from harness.redact import safe_line
from harness.verdicts.catalogue import entry
from harness.verdicts.model import AxisVerdict, Finding, Outcome
from harness.verdicts.prompt_counts import CountsIn
from harness.verdicts.self_render import SelfRenderIn
from harness.verdicts.tokens_in import SideFacts, TokensIn, severity_of

PROMPT_CARD_VERSION = 3
_COLOURS = {Outcome.WITHIN: "green", Outcome.BEYOND: "red"}
_SHOWN = 3


class PromptCard(Result):
    """Evidence, findings and verdict of one prompt comparison, with everything that pins the reference renderer."""

    prompt_card_version: int = PROMPT_CARD_VERSION
    fidelity_version: str
    renderer: str
    clock: str
    evidence: TokensIn | CountsIn | SelfRenderIn
    verdict: AxisVerdict
    findings: tuple[Finding, ...]
    impact: Impact | None = None

    @property
    def exit_code(self) -> int:
        """0 the same prompts, 1 others, 3 not testable."""
        return {Outcome.WITHIN: 0, Outcome.BEYOND: 1}.get(self.verdict.outcome, 3)


def print_prompt_card(card: PromptCard, console: Console) -> None:
    """Print a prompt card; the last line is the verdict."""
    evidence = card.evidence
    if isinstance(evidence, CountsIn | SelfRenderIn):
        _head(console, evidence)
    else:
        _sides(console, evidence)
    console.print(Text(f"renderer {card.renderer}, clock {card.clock}", style="dim"))
    if isinstance(evidence, CountsIn):
        _counts(console, evidence)
    elif isinstance(evidence, SelfRenderIn):
        _forms(console, evidence)
    else:
        _prompts(console, evidence)
    for finding in card.findings:
        about = entry(finding.code)
        console.print(Text(f"  {finding.code} {severity_of(finding)} {about.title}: {safe_line(finding.detail, 400)}"))
        console.print(Text(f"      fix: {about.fix}", style="dim"))
    if isinstance(evidence, CountsIn):
        _rows(console, evidence)
    elif isinstance(evidence, TokensIn):
        _windows(console, evidence)
    if card.impact:
        _impact(console, card.impact)
    cause = f" cause={card.verdict.cause}" if card.verdict.cause else ""
    console.print(Text(f"\n{safe_line(card.verdict.reason, 600)}", style=_COLOURS.get(card.verdict.outcome, "yellow")))
    print(f"VERDICT: {card.verdict.outcome}{cause} exit={card.exit_code}", flush=True)  # noqa: T201 - the last line


def _sides(console: Console, e: TokensIn) -> None:
    sides: tuple[tuple[str, SideFacts], ...] = (("reference", e.reference), ("candidate", e.candidate))
    for role, side in sides:
        digests = f"template {side.template[:12] or '-'}  tokenizer {side.tokenizer[:12] or '-'}"
        console.print(
            Text(
                f"{role} {safe_line(side.name)} ({e.engine or side.kind if side is e.candidate else side.kind})  {digests}"
            )
        )


def _prompts(console: Console, e: TokensIn) -> None:
    same, total = e.count("identical", "same ids"), len(e.pairs)
    counted = {
        "differ as the engine documents": e.count("documented"),
        "differ in whitespace": e.count("whitespace"),
        "differ": e.count("differs"),
        "render on one side only": e.count("only one side renders"),
        "were refused by the host": e.count("refused by the host"),
        "do not apply": e.count("not applicable"),
    }
    shown = "".join(f", {number} {what}" for what, number in counted.items() if number or what == "differ")
    console.print(Text(f"\n{same} of {total} conversations are the same{shown}"))
    for role, side in (("reference", e.reference), ("candidate", e.candidate)):
        if side.coverage.missed:
            lines = ", ".join(f"line {line} ({kind})" for line, kind in side.coverage.missed[:_SHOWN])
            more = " and others" if len(side.coverage.missed) > _SHOWN else ""
            seen = f"{side.coverage.branches - len(side.coverage.missed)} of {side.coverage.branches}"
            console.print(
                Text(f"the cases enter {seen} branches of the {role}'s template, not {lines}{more}", style="dim")
            )
    if e.billed:
        agree = sum(row.billed == row.shown for row in e.billed)
        console.print(
            Text(f"{agree} of {len(e.billed)} chat requests are billed as the engine shows them", style="dim")
        )


def _windows(console: Console, e: TokensIn) -> None:
    for edit in e.diagnosis.edits if e.diagnosis else ():
        console.print(Text(f"      structure: {safe_line(edit, 240)}"))
    for pair in [p for p in e.pairs if not p.equal][:_SHOWN]:
        ours, theirs = pair.window()
        console.print(Text(f"\n  {pair.case}[{pair.number}] {pair.status}", style="bold"))
        console.print(Text(f"    request   {_request(pair.request)}", style="dim"))
        console.print(Text(f"    reference {safe_line(repr(ours), 200)}"))
        console.print(Text(f"    candidate {safe_line(repr(theirs), 200)}"))
        if pair.reference_ids and pair.candidate_ids:
            a, b = pair.ids_window()
            console.print(Text(f"    ids       {list(a)} -> {list(b)}"))


def _head(console: Console, e: CountsIn | SelfRenderIn) -> None:
    how = (
        "by usage.prompt_tokens alone" if isinstance(e, CountsIn) else "by its answers to conversations and to prompts"
    )
    console.print(Text(f"reference {safe_line(e.reference)}  template {e.template[:12]}  tokenizer {e.tokenizer[:12]}"))
    console.print(Text(f"candidate {safe_line(e.endpoint)} ({how})"))


def _forms(console: Console, e: SelfRenderIn) -> None:
    console.print(
        Text(
            f"\n{e.requests} requests; {len(e.measured) - len(e.differing)} of {len(e.rows)} conversations are answered alike"
        )
    )
    for row in e.differing[: 2 * _SHOWN]:
        console.print(
            Text(f"  {row.case}[{row.number}] first token {row.gap:.3f} apart, the prompt from itself {row.floor:.3f}")
        )
        console.print(Text(f"    request {_request(row.request)}", style="dim"))


def _counts(console: Console, e: CountsIn) -> None:
    repeats = [str(row.billed) for row in e.rows if row.kind == "repeat"]
    console.print(Text(f"\n{e.requests} requests; the same request {len(repeats)} times: {', '.join(repeats)} tokens"))
    for kind, what in (("slope", "long texts"), ("probe", "conversations")):
        rows = e.kind(kind)
        if rows:
            equal = sum(not row.difference for row in rows)
            console.print(Text(f"{equal} of {len(rows)} {what} are billed as expected"))
    unanswered = [row for row in e.rows if row.billed is None]
    if unanswered:
        console.print(
            Text(f"{len(unanswered)} without a count, last: {safe_line(unanswered[-1].problem)}", style="yellow")
        )
    if e.invisible:
        console.print(Text(f"these faults move no count here: {', '.join(e.invisible)}", style="dim"))


def _rows(console: Console, e: CountsIn) -> None:
    different = [row for row in e.kind("slope", "probe") if row.difference]
    for row in different[: 2 * _SHOWN]:
        console.print(
            Text(
                f"  {row.case}[{row.number}] expected {row.expected}, billed {row.billed} ({row.difference:+d})",
                style="bold",
            )
        )
        console.print(Text(f"    request {_request(row.request)}", style="dim"))
    if len(different) > 2 * _SHOWN:
        console.print(Text(f"  and {len(different) - 2 * _SHOWN} others", style="dim"))


def _impact(console: Console, impact: Impact) -> None:
    console.print(Text(f"\n{impact.sentence}", style="bold"))
    rungs = ", ".join(f"{rung.bits} bits {rung.first:.3g} / {rung.reply:.3g}" for rung in impact.rungs)
    interval = f"95 % interval of the mean per token {impact.reply.low:.3g} to {impact.reply.high:.3g}"
    console.print(Text(f"  {interval}{f'; {impact.reply.note}' if impact.reply.note else ''}", style="dim"))
    if rungs:
        console.print(
            Text(f"  rounding the weights, with sound prompts (first token / per token): {rungs}", style="dim")
        )


def _request(request: Mapping[str, object]) -> str:
    shown = {"messages": request["messages"]} | {k: v for k, v in request.items() if k in {"tools", "options"} and v}
    return safe_line(json.dumps(shown, ensure_ascii=False), 300)
