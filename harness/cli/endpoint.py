"""``fidelity compare REFERENCE https://host/v1#model``: the audit of an endpoint behind a display."""

from __future__ import annotations

import math
import os
import secrets
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import click
from rich.console import Console

from harness.auditing import AuditRequest, audit_endpoint, audit_replies
from harness.auditing.honest_host import honest_address
from harness.auditing.logged import read_logged
from harness.cli.caps import read_caps
from harness.cli.display import Display, follow
from harness.config import Places
from harness.errors import Interrupted, TargetRefused
from harness.evidence.multiplicity import e_benjamini_hochberg
from harness.redact import safe_line, safe_text
from harness.reports.audit_card import AuditCard, Checks, print_audit_card
from harness.targets.bank import FULL, QUICK
from harness.targets.endpoint.address import parse_address
from harness.targets.endpoint.client import Client, Limits
from harness.targets.endpoint.extras import Extras
from harness.targets.endpoint.pace import Pace
from harness.targets.endpoint.ways import Protocol
from harness.targets.sampler import parse_sampler
from harness.targets.spec import Runtime

#: Exit codes over several endpoints, the one that counts most first.
_WORST = (4, 1, 3, 0)
_BANKS = {"quick": QUICK, "full": FULL}


@dataclass(frozen=True, slots=True)
class EndpointOptions:
    """What the command line says of endpoints alone."""

    bank: str
    requests: int
    alpha: float
    key: str
    sampler: str
    controls: bool
    budget: str
    price: str
    concurrency: int
    per_minute: int
    fresh: bool
    checks: Checks = "thorough"
    honest: str = ""
    honest_key: str = ""
    protocol: Protocol = "chat"
    stream: bool = False
    texts: int = 32
    extras: Extras = field(default_factory=Extras)

    def request(self, reference: str, runtime: Runtime) -> AuditRequest:
        """The audit that is asked for; raises UsageError for what cannot be."""
        if not 0 < self.alpha < 1:
            raise click.UsageError("--alpha takes a probability between 0 and 1")
        if self.requests < 1 or self.concurrency < 1 or min(self.per_minute, self.texts) < 0:
            raise click.UsageError("--requests, --concurrency, --per-minute and --texts take positive numbers")
        return AuditRequest(
            reference,
            requests=self.requests,
            bank=_BANKS.get(self.bank) or tuple(part for part in self.bank.split(",") if part),
            alpha=self.alpha,
            nonce=secrets.token_hex(8),
            sampler=parse_sampler(self.sampler),
            controls=self.controls,
            checks=self.checks,
            protocol=self.protocol,
            stream=self.stream,
            texts=self.texts,
            caps=read_caps(self.budget, self.price),
            fresh=self.fresh,
            runtime=runtime,
        )


def audit_log(
    reference: str, path: Path, places: Places, display: Display, options: EndpointOptions, runtime: Runtime
) -> int:
    """Judge logged traffic, print the card, and return its exit code."""
    request = options.request(reference, runtime)
    logged = read_logged(path, request.sampler)
    with display:
        card, folder = follow(audit_replies(request, logged, f"file {path.name}", places), display)
    return _shown(card, places, folder)


def audit(
    reference: str,
    candidates: Sequence[str],
    places: Places,
    display: Display,
    options: EndpointOptions,
    runtime: Runtime,
) -> int:
    """Audit endpoints one after the other, print their cards, and return the exit code over all.

    Several share alpha: each is accused at its part of it, so that one of them is accused wrongly with probability at most
    alpha; e-BH over all of them controls the share of false accusations instead, and may name more.
    """
    cards: list[AuditCard] = []
    codes = []
    for candidate in candidates:
        request = options.request(reference, runtime)
        request = replace(request, alpha=request.alpha / len(candidates))
        try:
            card, folder = _audited(request, candidate, places, display, options)
        except TargetRefused as error:
            if len(candidates) == 1:
                raise
            click.echo(f"error: {safe_text(str(error))}", err=True)
            codes.append(error.exit_code)
            continue
        cards.append(card)
        codes.append(_shown(card, places, folder))
    if len(candidates) > 1:
        _over_all(cards, options.alpha, len(candidates))
    return next((code for code in _WORST if code in codes), 0)


def _over_all(cards: Sequence[AuditCard], alpha: float, asked: int) -> None:
    """One line over several endpoints."""
    weighed = [(card, card.facts.weights.evidence) for card in cards if card.facts]
    # an endpoint that could not be weighed has no evidence, and still counts as one of those that were asked
    accused = e_benjamini_hochberg([log_e for _, log_e in weighed] + [0.0] * (asked - len(weighed)), alpha)
    names = [card.plan.endpoint for (card, _), found in zip(weighed, accused, strict=False) if found]
    click.echo(
        f"OVER ALL: {len(names)} of {asked} endpoints accused on identity at a false discovery rate of {alpha:g} (e-BH)"
        + (f": {', '.join(safe_line(name, 80) for name in names)}" if names else "")
    )


def _audited(
    request: AuditRequest, candidate: str, places: Places, display: Display, options: EndpointOptions
) -> tuple[AuditCard, Path]:
    pace = Pace(options.concurrency, per_minute=options.per_minute)
    limits = Limits(session=math.inf)  # the budget says when an audit ends
    with ExitStack() as held:
        client = held.enter_context(Client(parse_address(candidate, options.key, options.extras), limits, pace=pace))
        honest = None
        if options.honest:
            address, called = held.enter_context(honest_address(options.honest, request.reference, places.cache))
            request = replace(request, honest=called)
            slow = Pace(options.concurrency, per_minute=options.per_minute)
            honest = held.enter_context(Client(parse_address(address, options.honest_key), limits, pace=slow))
        held.enter_context(display)
        steps = audit_endpoint(request, client, places, honest)
        try:
            return follow(steps, display)
        except KeyboardInterrupt as error:
            steps.close()
            raise Interrupted(
                "stopped; what was answered is kept", fix="give the same command again to go on"
            ) from error


def _shown(card: AuditCard, places: Places, folder: Path) -> int:
    console = Console(highlight=False, width=None if os.isatty(1) else 140)
    print_audit_card(card, console, f"{places.results / folder.name}/report.html")
    return card.exit_code
