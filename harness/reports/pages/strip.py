"""The figure at the top: how far honest copies move, how far each candidate moves, and what rounding does."""

from __future__ import annotations

import math
from collections.abc import Callable
from html import escape

from harness.numbers import number
from harness.redact import safe_line
from harness.reports.pages.svg import RIGHT, WIDTH, line, svg, text
from harness.reports.scorecard import Scorecard

_LABELS = 210  # room for names
_DECADES = 7  # what is closer than that stands at the left edge
_TOP, _ROW, _BOTTOM = 34, 24, 36


def strip_plot(scorecard: Scorecard) -> str:
    """Mean KL with its interval, log scale: the honest band's members, then the candidates; rungs of the ladder above."""
    bands = [{m.name: (m.value, m.low, m.high) for m in card.evidence.honest} for card in scorecard.candidates]
    honest = {name: values for band in bands for name, values in band.items()}
    common = [values for name, values in honest.items() if all(name in band for band in bands)]
    rungs: dict[float, float] = {}
    candidates = []
    for card in scorecard.candidates:
        evidence = card.evidence
        rungs.update(evidence.ladder.rungs if evidence.ladder else ())
        kl = evidence.check("kl_ref_cand")
        if kl:
            candidates.append((evidence.label, card.verdict.outcome, (kl.value, kl.low, kl.high)))
    rows = [(name, "honest", values) for name, values in honest.items()] + [
        (label, str(outcome), values) for label, outcome, values in candidates
    ]
    known = [ends[0] for _, _, ends in rows if 0 < ends[0] < math.inf] + [v for v in rungs.values() if v > 0]
    if not candidates or len(known) < 2:
        return ""
    high = math.log10(max(known)) + 0.1
    low = max(math.log10(min(known)) - 0.1, high - _DECADES)
    height = _TOP + _ROW * len(rows) + _BOTTOM

    def x(value: float) -> float:
        power = high if math.isnan(value) else math.log10(value) if value > 0 else low
        return _LABELS + (min(max(power, low), high) - low) / (high - low) * (WIDTH - _LABELS - RIGHT)

    parts = _frame(x, low, high, height, rungs)
    widest = max((values[0] for values in common), default=0.0)  # of every candidate, whatever it claims
    if widest > 0:
        parts.append(f'<rect class="zone" x="{_LABELS}" y="{_TOP}" width="{x(widest) - _LABELS:.1f}" '
                     f'height="{height - _TOP - _BOTTOM}"/>')  # fmt: skip
    for index, (raw, kind, (value, least, most)) in enumerate(rows):
        name = safe_line(raw)
        y = _TOP + _ROW * (index + 0.5)
        shown = name if len(name) <= 28 else name[:26] + "..."
        parts.append(text(_LABELS - 8, y + 4, shown, "end"))
        if kind != "honest":
            name = f"{kind}, {name}"
        if math.isnan(value):
            parts.append(text(WIDTH - RIGHT, y + 4, "not finite", "end"))
            continue
        if most > 10**low and least > 0:
            parts.append(line(x(least), y, x(most), y, f"mark-{kind}"))
        title = f"<title>{escape(name)}: {number(value)} nat per token ({number(least)} to {number(most)})</title>"
        parts.append(f'<circle class="mark-{kind}" cx="{x(value):.1f}" cy="{y:.1f}" r="5">{title}</circle>')
    return svg(height, "How far honest copies and candidates are from the reference", parts)


def _frame(x: Callable[[float], float], low: float, high: float, height: float, rungs: dict[float, float]) -> list[str]:
    parts = []
    for power in range(math.ceil(low), math.floor(high) + 1):
        parts.append(line(x(10**power), _TOP, x(10**power), height - _BOTTOM, "grid"))
        parts.append(text(x(10**power), height - _BOTTOM + 14, f"{10**power:g}"))
    last = -math.inf
    for bits, kl in sorted(rungs.items()):
        if kl > 0:
            parts.append(line(x(kl), _TOP - 6, x(kl), height - _BOTTOM, "rungline"))
            if abs(x(kl) - last) > 42:
                parts.append(text(x(kl), _TOP - 10, f"{bits:g} bits"))
                last = x(kl)
    parts.append(text(WIDTH / 2 + _LABELS / 2, height - 4, "mean KL, nat per token: further right is further away"))
    return parts
