"""``fidelity compare REFERENCE https://host/v1#model``: the audit of an endpoint behind a display."""

from __future__ import annotations

import os
import secrets

import click
from rich.console import Console

from harness.auditing import AuditRequest, audit_endpoint
from harness.cli.display import Display
from harness.config import Places
from harness.reports.audit_card import AuditCard, print_audit_card
from harness.targets.bank import FULL, QUICK
from harness.targets.endpoint.address import parse_address
from harness.targets.endpoint.client import Client
from harness.targets.sampler import parse_sampler
from harness.targets.spec import Runtime

_BANKS = {"quick": QUICK, "full": FULL}


def audit(
    reference: str,
    candidate: str,
    places: Places,
    display: Display,
    *,
    bank: str,
    requests: int,
    alpha: float,
    key: str,
    sampler: str,
    runtime: Runtime,
) -> int:
    """Audit one endpoint, print the card, and return its exit code."""
    if not 0 < alpha < 1:
        raise click.UsageError("--alpha takes a probability between 0 and 1")
    if requests < 1:
        raise click.UsageError("--requests takes a positive number")
    request = AuditRequest(
        reference,
        requests=requests,
        bank=_BANKS.get(bank) or tuple(part for part in bank.split(",") if part),
        alpha=alpha,
        sampler=parse_sampler(sampler),
        nonce=secrets.token_hex(8),
        runtime=runtime,
    )
    card: AuditCard
    with Client(parse_address(candidate, key)) as client, display:
        steps = audit_endpoint(request, client, places)
        while True:
            try:
                display.show(next(steps))
            except StopIteration as end:
                card, folder = end.value
                break
    console = Console(highlight=False, width=None if os.isatty(1) else 140)
    print_audit_card(card, console, f"{places.results / folder.name}/audit.json")
    return card.exit_code
