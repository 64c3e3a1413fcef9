"""A stored run of any kind as what is published of it: its files, and a line of the index for every candidate."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from harness.auditing import AuditFolder, judge_again
from harness.errors import UnknownName
from harness.numbers import interval, number
from harness.observations.asked import Asked
from harness.observations.journal import Journal
from harness.observations.stored_runs import Kind, find_run, kind_of
from harness.redact import safe_line
from harness.reports.build import build_scorecard
from harness.reports.pages.audit import render_audit
from harness.reports.pages.index import Line
from harness.reports.pages.plain_words import void
from harness.reports.pages.tasks import render_tasks
from harness.reports.render import render
from harness.reports.scorecard import CandidateCard, Scorecard
from harness.reports.tokens import tokens_of
from harness.tasking.judging import judge
from harness.tasking.store import TaskFolder
from harness.verdicts.model import AxisVerdict

_NAME = re.compile(r"latest|[0-9A-Za-z][0-9A-Za-z_-]{0,80}")


@dataclass(frozen=True)
class Published:
    """One run: the folder that it is stored in, its renderings by name, and its lines of the index."""

    folder: Path
    files: dict[str, bytes]
    lines: tuple[Line, ...]


def published(results: Path, run: str) -> Published:
    """Judge a stored run by its name and render it. Raises UnknownName for a path, StoredRunError where nothing can be judged."""
    if not _NAME.fullmatch(run):
        raise UnknownName(
            f"{safe_line(run)!r} is no name of a stored run", where=str(results), fix="'fidelity ls' lists the runs"
        )
    folder = find_run(results.resolve(), run)
    kind = kind_of(folder)
    if kind is Kind.AUDIT:
        return _audit(AuditFolder(folder))
    if kind is Kind.TASKS:
        return _tasks(TaskFolder(folder))
    journal = Journal.open(folder.parent, str(folder))
    try:
        card = build_scorecard(journal)
        tokens = tokens_of(journal)
        forms = {"report.html": "html", "report.md": "md", "scorecard.json": "json", "badge.svg": "badge",
                 "shields.json": "shields"}  # fmt: skip
        files = {name: render(card, form, tokens) for name, form in forms.items()}
        return Published(
            journal.folder, files, tuple(_compared(card, one, journal.folder.name) for one in card.candidates)
        )
    finally:
        journal.close()


def _compared(card: Scorecard, one: CandidateCard, run: str) -> Line:
    kl = one.evidence.check("kl_ref_cand")
    told = (
        f"KL {number(kl.value)} nat/token ({interval(kl.low, kl.high, kl.unit)})" if kl else "no distribution measured"
    )
    told = f"{told}; {void(one)}" if void(one) else told
    if card.partial:
        told = f"{told}; only part of the run"
    return Line(
        kind="checkpoint", run=run, reference=card.reference.folder, candidate=one.evidence.label, claim=one.evidence.claim,
        outcome=one.verdict.outcome, cause=str(one.verdict.cause or ""), axes=_axes(one.verdict.axes), told=told,
        size=kl.value if kl else math.nan,
    )  # fmt: skip


def _audit(stored: AuditFolder) -> Published:
    card = judge_again(stored)
    with Asked(stored.folder / "asked.sqlite") as asked:
        page = render_audit(card, asked.request_of("reply-0000"))
    files = {"report.html": page.encode(), "audit.json": card.model_dump_json(indent=1).encode()}
    told = (
        f"{card.facts.requests:,} questions, {card.facts.tokens:,} tokens" if card.facts else "nothing could be scored"
    )
    line = Line(
        kind="endpoint", run=stored.folder.name, reference=card.plan.reference, candidate=card.plan.endpoint, claim="",
        outcome=card.outcome, cause=str(card.cause or ""), axes=_axes(card.axes), told=told, size=math.nan,
    )  # fmt: skip
    return Published(stored.folder, files, (line,))


def _tasks(stored: TaskFolder) -> Published:
    with stored:
        card = judge(stored)
    files = {"report.html": render_tasks(card).encode(), "tasks.json": card.model_dump_json(indent=1).encode()}
    lines = []
    for one in card.candidates:
        pooled = one.facts.pooled
        known = math.isfinite(pooled.loss)
        told = (
            f"loss {100 * pooled.loss:+.1f} points ({100 * pooled.low:+.1f} to {100 * pooled.high:+.1f})"
            if known
            else "nothing was judged"
        )
        line = Line(
            kind="tool calls" if one.tools else "tasks", run=stored.folder.name, reference=card.reference,
            candidate=one.label, claim="", outcome=one.verdict.outcome, cause=str(one.verdict.cause or ""),
            axes=_axes((one.verdict,)), told=f"{told}, {card.asked}", size=math.nan,
        )  # fmt: skip
        lines.append(line)
    return Published(stored.folder, files, tuple(lines))


def _axes(axes: tuple[AxisVerdict, ...]) -> dict[str, str]:
    return {axis.axis: str(axis.outcome) for axis in axes}
