"""The result of an endpoint's audit: the one JSON, and what the terminal shows of it."""

from __future__ import annotations

import math
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.comparisons.audit import AuditFacts, BuildFacts
from harness.comparisons.controls import Control, ControlFacts
from harness.comparisons.logprobs import LogprobFacts
from harness.comparisons.model import Result
from harness.identity import digest_json
from harness.prompts.thoughts import Marks
from harness.redact import safe_line
from harness.targets.endpoint.budget import Caps, Spent
from harness.targets.endpoint.extras import Extras
from harness.targets.endpoint.probe import Profile
from harness.targets.endpoint.ways import Protocol
from harness.targets.sampler import Sampler
from harness.verdicts.catalogue import entry
from harness.verdicts.model import AxisVerdict, Cause, Finding, Outcome, exit_code, worst

AUDIT_CARD_VERSION = 4
Checks = Literal["thorough", "quick", "none"]
_COLOURS = {Outcome.WITHIN: "green", Outcome.BEYOND: "red"}


class AuditPlan(Result):
    """What was fixed before the first request."""

    reference: str
    endpoint: str
    requests: int  # at most: the audit ends when it has a verdict
    tokens: int  # of output, at most, per request
    honest: tuple[str, ...]  # configurations of the null, the centre first
    families: dict[str, str]  # the bank: members and the causes that they stand for
    near: tuple[str, ...]  # members at full strength only
    required: tuple[str, ...]  # members that must be ruled out before the host is cleared
    controls: tuple[Control, ...]
    caps: Caps
    alpha: float
    nonce: str
    draws: int  # local replies per configuration, where a host without ids makes them necessary
    questions: str  # digest of the questions' file
    template: str
    tokenizer: str
    clock: str  # the time under which prompts with a date are made
    sampler: Sampler = Sampler()
    checks: Checks = "none"
    protocol: Protocol = "chat"  # in which the questions are asked
    stream: bool = False
    texts: int = 0  # documents, where the host scores what it is shown
    left_out: tuple[str, ...] = ()  # members that cannot be built from this reference, with the reason
    marks: Marks = Marks()  # around the reasoning in the reference's replies
    extras: Extras = Extras()  # what goes out with every request beside its own fields

    @property
    def seed(self) -> int:
        """Decides everything random in the analysis; fixed with the nonce, before the first reply."""
        return int(digest_json([self.nonce, "places"])[:12], 16)

    def seed_of(self, number: int) -> int:
        """The seed that goes out with a question: fresh in every audit, the same when an audit is resumed."""
        return int(digest_json([self.nonce, "request", number])[:7], 16)


class AuditCard(Result):
    """Plan, evidence and verdict of one audit; ``facts`` is None where nothing could be measured."""

    audit_card_version: int = AUDIT_CARD_VERSION
    fidelity_version: str
    plan: AuditPlan
    losses: dict[str, int]
    facts: AuditFacts | None
    controls: tuple[ControlFacts, ...] = ()
    spent: Spent = Spent()
    spent_on_honest: Spent | None = None  # by the host that the user vouches for
    texts: LogprobFacts | None = None  # what the host tells of texts that it is shown
    honest_texts: LogprobFacts | None = None  # and what the host does that the user vouches for, where those accuse
    profile: Profile | None = None  # what the endpoint can do
    prompts: AxisVerdict | None = None  # the layer below: does it make the reference's prompts?
    parameters: AxisVerdict | None = None  # does it do as it is told?
    findings: tuple[Finding, ...] = ()  # about prompts, and about the protocol around replies
    axes: tuple[AxisVerdict, ...]

    @property
    def layers(self) -> tuple[AxisVerdict, ...]:
        """Verdicts from the lowest layer up; prompts, parameters and texts that cannot be told do not count."""
        below = [one for one in (self.prompts, self.parameters) if one and one.outcome is not Outcome.NOT_TESTABLE]
        told = [one for one in self.axes if one.axis != "texts" or one.outcome is not Outcome.NOT_TESTABLE]
        return (*below, *told)

    @property
    def named(self) -> tuple[tuple[str, AxisVerdict], ...]:
        """All verdicts by the name of what they are about."""
        below = (("prompts", self.prompts), ("parameters", self.parameters))
        return (*((name, one) for name, one in below if one), *((one.axis, one) for one in self.axes))

    @property
    def outcome(self) -> Outcome:
        """The worst of the layers."""
        return worst([one.outcome for one in self.layers])

    @property
    def cause(self) -> Cause | None:
        """That of the lowest layer which is as bad as the whole and names one: a fault found low explains those above it."""
        causes = [one.cause for one in self.layers if one.outcome is self.outcome]
        vague = {None, Cause.UNLISTED, Cause.PROTOCOL}  # made-up log-probabilities do not say what made the text
        return next((cause for cause in causes if cause not in vague), causes[0] if causes else None)

    @property
    def exit_code(self) -> int:
        """0 within, 1 beyond, 3 inconclusive or not testable."""
        return exit_code(self.outcome)


def print_audit_card(card: AuditCard, console: Console, path: str) -> None:
    """Print an audit that is stored at ``path``; the last line is the verdict."""
    plan = card.plan
    console.print(Text(f"\nreference {safe_line(plan.reference)}   candidate {safe_line(plan.endpoint)}"))
    if plan.extras:
        console.print(Text(f"every request with {plan.extras.shown}"))
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
    for name, axis in card.named:
        colour = _COLOURS.get(axis.outcome, "yellow")
        said = safe_line(axis.reason, 1200)
        console.print(Text(f"  {name:<12} ").append(f"{axis.outcome:<12} ", style=colour).append(said))
    for finding in card.findings:
        about = entry(finding.code)
        console.print(Text(f"  {finding.code} {about.severity} {about.title}: {safe_line(finding.detail, 300)}"))
    spent, price = card.spent, card.plan.caps.price_in or card.plan.caps.price_out
    console.print(
        Text(
            f"  asked {spent.requests} requests, {spent.prompt:,} tokens in and {spent.tokens:,} out, in {spent.seconds:.0f} s"
            + (f", for {spent.money:.2g}" if price else ""),
            style="dim",
        )
    )
    if card.spent_on_honest:
        own = card.spent_on_honest
        console.print(
            Text(
                f"  the honest host took {own.requests} requests, {own.prompt:,} tokens in and {own.tokens:,} out",
                style="dim",
            )
        )
    cause = f" cause={card.cause}" if card.cause else ""
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
