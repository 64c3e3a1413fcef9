"""The result of an endpoint's audit: the one JSON, and what the terminal shows of it."""

from __future__ import annotations

import math

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.comparisons.audit import AuditFacts, BuildFacts
from harness.comparisons.model import Result
from harness.identity import digest_json
from harness.redact import safe_line
from harness.targets.sampler import Sampler
from harness.verdicts.model import AxisVerdict, Outcome, exit_code, worst

AUDIT_CARD_VERSION = 1
_COLOURS = {Outcome.WITHIN: "green", Outcome.BEYOND: "red"}


class AuditPlan(Result):
    """What was fixed before the first request."""

    reference: str
    endpoint: str
    requests: int
    tokens: int
    bank: tuple[str, ...]
    alpha: float
    nonce: str
    draws: int  # local replies per configuration, where a host without ids makes them necessary
    questions: str  # digest of the questions' file
    template: str
    tokenizer: str
    clock: str  # the time under which prompts with a date are made
    sampler: Sampler = Sampler()

    @property
    def seed(self) -> int:
        """Decides everything random in the analysis; fixed with the nonce, before the first reply."""
        return int(digest_json([self.nonce, "places"])[:12], 16)


class AuditCard(Result):
    """Plan, evidence and verdict of one audit; ``facts`` is None where nothing could be measured."""

    audit_card_version: int = AUDIT_CARD_VERSION
    fidelity_version: str
    plan: AuditPlan
    losses: dict[str, int]
    facts: AuditFacts | None
    axes: tuple[AxisVerdict, ...]

    @property
    def outcome(self) -> Outcome:
        """The worst of the axes."""
        return worst([axis.outcome for axis in self.axes])

    @property
    def exit_code(self) -> int:
        """0 within, 1 beyond, 3 inconclusive or not testable."""
        return exit_code(self.outcome)


def print_audit_card(card: AuditCard, console: Console, path: str) -> None:
    """Print an audit that is stored at ``path``; the last line is the verdict."""
    plan = card.plan
    console.print(Text(f"\nreference {safe_line(plan.reference)}   candidate {safe_line(plan.endpoint)}"))
    if card.facts:
        facts = card.facts
        console.print(
            Text(
                f"{facts.requests} requests, {facts.tokens:,} scored tokens, {facts.lost} replies lost; each axis accuses an "
                f"honest host with probability at most {facts.alpha:g}"
            )
        )
        if facts.recut:
            console.print(
                Text(
                    f"the host tells no ids: texts are cut anew, as {facts.recut.moved:.0%} of the reference's own replies would "
                    f"be cut otherwise; each reply is charged {min(facts.recut.members.values()):.2f} to "
                    f"{max(facts.recut.members.values()):.2f} nat for it ({facts.recut.draws} local replies per configuration)"
                )
            )
        console.print(_builds(facts))
        if facts.certified > 0:
            console.print(
                Text(
                    f"  certified: averaged over these tokens at least {facts.certified:.3g} nat/token from the reference"
                )
            )
    for reason, count in card.losses.items():
        console.print(Text(f"  {count} replies lost: {safe_line(reason)}"))
    for axis in card.axes:
        colour = _COLOURS.get(axis.outcome, "yellow")
        console.print(
            Text(f"  {axis.axis:<12} ").append(f"{axis.outcome:<12} ", style=colour).append(safe_line(axis.reason, 900))
        )
    leading = next((axis for axis in card.axes if axis.outcome is card.outcome), None)
    cause = f" cause={leading.cause}" if leading and leading.cause else ""
    print(f"VERDICT: {card.outcome}{cause} exit={card.exit_code} report={path}", flush=True)  # noqa: T201 - the last line


def _builds(facts: AuditFacts) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title, side in (
        ("  build", "left"), ("cause", "left"), ("KL, nat/token", "right"), ("log e against it", "right"),
        ("served all requests", "left"), ("share of requests", "left"),
    ):  # fmt: skip
        table.add_column(title, justify=side, no_wrap=True)  # type: ignore[arg-type]
    for build in facts.builds:
        ruled = "ruled out" if build.excluded else "-" if facts.untold else "possible"
        table.add_row(
            f"  {safe_line(build.name)}", build.family, f"{build.divergence:.3g}",
            "-" if math.isnan(build.log_e_against) else f"{build.log_e_against:+.1f}", ruled,
            _share(build, accused=bool(facts.weights.crossed_at)) if not facts.untold else "-",
        )  # fmt: skip
    return table


def _share(build: BuildFacts, *, accused: bool) -> str:
    """The interval; its lower end only where the host is accused at all, because it alone would read as an accusation."""
    if math.isnan(build.share_low):
        return "none possible"
    return f"{build.share_low:.0%} to {build.share_high:.0%}" if accused else f"at most {build.share_high:.0%}"
