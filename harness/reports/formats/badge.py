"""A badge: an SVG of our own, and the JSON that shields.io draws one from.

A badge says verdict, reference and date and nothing else; whoever shows it should link it to the page.
"""

from __future__ import annotations

import json
from xml.sax.saxutils import escape, quoteattr

from harness.redact import safe_line
from harness.reports.scorecard import Scorecard
from harness.verdicts.model import Outcome

_COLOURS = {Outcome.WITHIN: "#1a7f37", Outcome.BEYOND: "#b42318", Outcome.INCONCLUSIVE: "#7a5b00"}
_GREY = "#57606a"
_SHIELDS = {Outcome.WITHIN: "brightgreen", Outcome.BEYOND: "red", Outcome.INCONCLUSIVE: "yellow"}
_LABEL = "fidelity"
#: Advance widths of Verdana at 11 pixels, by group; everything else counts as a wide letter.
_NARROW, _USUAL, _WIDE = 4.0, 7.0, 10.5


def message(scorecard: Scorecard) -> str:
    """``within bf16 vs MODEL, 2026-11-27``; the cause where there is one."""
    created = scorecard.created
    date = f"{created[:4]}-{created[4:6]}-{created[6:8]}"
    lead = next(card for card in scorecard.candidates if card.verdict.outcome is scorecard.outcome)
    cause = f": {lead.verdict.cause}" if lead.verdict.cause else ""
    word = str(scorecard.outcome).lower().replace("_", " ")
    policy = lead.evidence.policy
    by = "" if policy is None else " by gates set before" if policy.frozen else " by gates set after the run"
    claim = safe_line(lead.evidence.claim, 24) or "no claim"
    part = ", part of a run" if scorecard.partial else ""
    return f"{word} {claim}{by}{cause}{part} vs {safe_line(scorecard.reference.folder, 40)}, {date}"


def render_badge(scorecard: Scorecard) -> bytes:
    """The badge as SVG."""
    text = message(scorecard)
    left, right = _width(_LABEL) + 12, _width(text) + 12
    colour = _COLOURS.get(scorecard.outcome, _GREY)
    title = f"{_LABEL}: {text}; run {scorecard.run}, plan {scorecard.plan[:12]}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right:.0f}" height="20" role="img" '
        f"aria-label={quoteattr(title)}><title>{escape(title)}</title>"
        f'<rect width="{left:.0f}" height="20" fill="#24292f"/>'
        f'<rect x="{left:.0f}" width="{right:.0f}" height="20" fill="{colour}"/>'
        '<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">'
        f'<text x="6" y="14">{_LABEL}</text><text x="{left + 6:.0f}" y="14">{escape(text)}</text></g></svg>\n'
    ).encode()


def render_shields(scorecard: Scorecard) -> bytes:
    """The JSON of a shields.io endpoint badge (schema version 1)."""
    value = {"schemaVersion": 1, "label": _LABEL, "message": message(scorecard),
             "color": _SHIELDS.get(scorecard.outcome, "lightgrey")}  # fmt: skip
    return json.dumps(value, ensure_ascii=False).encode()


def _width(text: str) -> float:
    return sum(_NARROW if c in "ijl.,:;'|! " else _WIDE if c in "mwMW@%" or ord(c) > 0x2E7F else _USUAL for c in text)
