"""The page of an audit: what was found, how the evidence went, and everything that another needs to check it."""

from __future__ import annotations

import json
import math
import shlex
from urllib.parse import urlencode

from markupsafe import Markup

from harness.reports.audit_card import AuditCard
from harness.reports.pages.frame import page
from harness.reports.pages.plots import path_plot
from harness.reports.profile import checks
from harness.targets.endpoint.address import parse_address
from harness.verdicts.catalogue import entry

_LONGEST = 20_000  # characters of a command that a page shows: a cut one would be wrong


def render_audit(card: AuditCard, request: bytes) -> str:
    """The page as text; ``request`` is the body of one question as it was sent, for whoever wants to ask it again."""
    facts = card.facts
    paths = {}
    if facts:
        named = (("weights", facts.weights), ("sampler", facts.sampler), ("lengths", facts.length))
        paths = {name: process.path for name, process in named if process}
    command = curl(card, request)
    return page(
        "audit.html.j2",
        card=card,
        facts=facts,
        figure=Markup(path_plot(paths, math.log(1.0 / card.plan.alpha))),  # noqa: S704 - numbers and our own words
        checks=checks(card.profile) if card.profile else [],
        curl=command if len(command) <= _LONGEST else "",
        entry=entry,
        finite=math.isfinite,
    )


def curl(card: AuditCard, request: bytes) -> str:
    """One question as a shell command; the key is a variable's name, never its value."""
    if not request:
        return ""
    body = json.dumps(json.loads(request), ensure_ascii=True)
    extras = card.plan.extras
    base = parse_address(card.plan.endpoint).base
    path = "/chat/completions" if card.plan.protocol == "chat" else "/completions"
    url = base + path + (f"?{urlencode(extras.query)}" if extras.query else "")
    own = "".join(f'-H {shlex.quote(name + ": ")}"${variable}" ' for name, variable in extras.headers)
    return (
        f"curl -sS {shlex.quote(url)} -H 'Content-Type: application/json' "
        f'-H "Authorization: Bearer $API_KEY" {own}-d {shlex.quote(body)}'
    )
