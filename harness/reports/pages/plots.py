"""Figures as inline SVG: colours come from the page's style sheet, numbers stand in the tables beside them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from harness.comparisons.model import Slice
from harness.numbers import number
from harness.redact import safe_line
from harness.reports.pages.svg import LEFT, RIGHT, TOP, WIDTH, line, svg, text
from harness.verdicts.evidence import CandidateEvidence, LadderReading

_MOST_NATS = 60.0


def ladder_plot(ladder: LadderReading) -> str:
    """Mean KL over bits for the rungs (log scale), with the candidate's level and its reading."""
    height, bottom = 230, 40
    rungs = [(bits, kl) for bits, kl in ladder.rungs if kl > 0]
    levels = [kl for _, kl in rungs] + ([ladder.value] if ladder.value > 0 else [])
    if len(rungs) < 2 or not levels:
        return ""
    low, high = math.floor(math.log10(min(levels))), math.ceil(math.log10(max(levels)))
    high = max(high, low + 1)
    first, last = rungs[0][0], rungs[-1][0]
    left = 70

    def x(bits: float) -> float:
        return left + (bits - first) / (last - first) * (WIDTH - left - RIGHT)

    def y(kl: float) -> float:
        return TOP + (high - math.log10(kl)) / (high - low) * (height - TOP - bottom)

    parts = []
    for power in range(low, high + 1):
        parts.append(line(left, y(10**power), WIDTH - RIGHT, y(10**power), "grid"))
        parts.append(text(left - 8, y(10**power) + 4, f"1e{power}", "end"))
    points = " ".join(f"{x(b):.1f},{y(kl):.1f}" for b, kl in rungs)
    parts.append(f'<polyline class="rung" points="{points}"/>')
    for bits, kl in rungs:
        parts.append(f'<circle class="rungdot" cx="{x(bits):.1f}" cy="{y(kl):.1f}" r="4"/>')
        parts.append(text(x(bits), height - 18, f"{bits:g}"))
    if ladder.value > 0:
        parts.append(line(left, y(ladder.value), WIDTH - RIGHT, y(ladder.value), "level"))
        if not math.isnan(ladder.low):
            a, b = x(max(ladder.low, first)), x(min(ladder.high, last))
            parts.append(f'<rect class="band" x="{a:.1f}" y="{TOP}" width="{max(b - a, 2):.1f}" '
                         f'height="{height - TOP - bottom}"/>')  # fmt: skip
        parts.append(f'<circle class="here" cx="{x(ladder.bits):.1f}" cy="{y(ladder.value):.1f}" r="6"/>')
    parts.append(text((left + WIDTH) / 2, height - 2, "bits per weight, round to nearest, groups of 64"))
    return svg(height, "Mean KL of the reference rounded to fewer bits, and where the candidate stands", parts)


def histogram_plot(evidence: CandidateEvidence) -> str:
    """How many tokens have which divergence, in quarter decades; the honest band's mean is marked."""
    if not evidence.histogram:
        return ""
    height, bottom, left = 200, 40, 70
    counts = dict(evidence.histogram)
    low, high = min(counts), max(counts) + 0.25
    marks = [m.value for m in evidence.honest if m.value > 0]
    floor = math.log10(max(marks)) if marks else None
    if floor is not None:
        low, high = min(low, floor), max(high, floor + 0.25)
    most = max(counts.values())

    def x(power: float) -> float:
        return left + (power - low) / (high - low) * (WIDTH - left - RIGHT)

    parts = []
    for edge, count in sorted(counts.items()):
        tall = count / most * (height - TOP - bottom)
        width = x(edge + 0.25) - x(edge) - 1
        parts.append(f'<rect class="bar" x="{x(edge):.1f}" y="{height - bottom - tall:.1f}" '
                     f'width="{max(width, 1):.1f}" height="{tall:.1f}"><title>{count} tokens</title></rect>')  # fmt: skip
    parts.append(line(left, height - bottom, WIDTH - RIGHT, height - bottom, "axis"))
    powers = range(math.ceil(low), math.floor(high) + 1)
    parts += [text(x(power), height - 22, f"1e{power}") for power in powers]
    if floor is not None:
        parts.append(line(x(floor), TOP, x(floor), height - bottom, "level"))
        side, anchor = (4, "start") if x(floor) < WIDTH / 2 else (-4, "end")
        parts.append(text(x(floor) + side, TOP + 8, "mean of the honest band", anchor))
    parts.append(text(left - 8, TOP + 8, f"{most}", "end"))
    parts.append(text((left + WIDTH) / 2, height - 4, "KL of one token, nat"))
    return svg(height, "Distribution of the divergence over tokens", parts)


def slice_plot(slices: list[Slice], floor: float) -> str:
    """Mean KL with its interval per slice, on a log scale."""
    shown = [s for s in slices if s.value > 0]
    if not shown:
        return ""
    row, bottom = 22, 34
    height = TOP + row * len(shown) + bottom
    ends = [v for s in shown for v in (s.low, s.high, s.value) if v > 0 and math.isfinite(v)]
    ends += [floor] if floor > 0 else []
    low, high = math.log10(min(ends)) - 0.05, math.log10(max(ends)) + 0.05
    high = max(high, low + 0.5)

    def x(value: float) -> float:
        power = math.log10(value) if value > 0 else low
        return LEFT + (min(max(power, low), high) - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    parts = []
    for power in range(math.ceil(low), math.floor(high) + 1):
        parts.append(line(x(10**power), TOP, x(10**power), height - bottom, "grid"))
        parts.append(text(x(10**power), height - bottom + 14, f"1e{power}"))
    if floor > 0:
        parts.append(line(x(floor), TOP, x(floor), height - bottom, "level"))
    for index, part in enumerate(shown):
        y = TOP + row * (index + 0.5)
        parts.append(text(LEFT - 8, y + 4, part.name, "end"))
        if math.isfinite(part.high) and part.low > 0:
            parts.append(line(x(part.low), y, x(part.high), y, "whisker"))
        title = f"<title>{escape(safe_line(part.name))}: {number(part.value)} nat over {part.tokens} tokens</title>"
        parts.append(f'<circle class="rungdot" cx="{x(part.value):.1f}" cy="{y:.1f}" r="4">{title}</circle>')
    parts.append(text((LEFT + WIDTH) / 2, height - 4, "mean KL, nat per token; line: honest band"))
    return svg(height, "Mean divergence by slice", parts)


def path_plot(paths: Mapping[str, Sequence[tuple[int, int, float]]], bar: float) -> str:
    """Evidence in nats over scored tokens, one line per process, with the threshold; far ends are cut off and told."""
    shown = {name: points for name, points in paths.items() if points}
    if not shown:
        return ""
    height, bottom, left = 260, 40, 70
    values = [value for points in shown.values() for _, _, value in points]
    high = min(max(*values, bar * 1.3), _MOST_NATS)
    low = max(min(*values, 0.0), -_MOST_NATS)
    most = max(tokens for points in shown.values() for _, tokens, _ in points)

    def x(tokens: float) -> float:
        return left + tokens / max(most, 1) * (WIDTH - left - RIGHT)

    def y(value: float) -> float:
        return TOP + (high - min(max(value, low), high)) / max(high - low, 1e-9) * (height - TOP - bottom)

    step = _step(high - low)
    parts = []
    for k in range(math.ceil(low / step), math.floor(high / step) + 1):
        parts.append(line(left, y(k * step), WIDTH - RIGHT, y(k * step), "grid"))
        parts.append(text(left - 8, y(k * step) + 4, f"{k * step:g}", "end"))
    parts.append(line(left, y(bar), WIDTH - RIGHT, y(bar), "level"))
    parts.append(text(WIDTH - RIGHT, y(bar) - 5, "accused above this line", "end"))
    for place, (name, points) in enumerate(shown.items()):
        route = " ".join(f"{x(tokens):.1f},{y(value):.1f}" for _, tokens, value in [(0, 0, 0.0), *points])
        parts.append(f'<polyline class="path path{place}" points="{route}"><title>{escape(name)}</title></polyline>')
        n, tokens, value = points[-1]
        title = f"<title>{escape(name)}: {value:.1f} nat after {n} requests, {tokens} tokens</title>"
        parts.append(f'<circle class="dot{place}" cx="{x(tokens):.1f}" cy="{y(value):.1f}" r="4">{title}</circle>')
        at = left + 8 + 130 * place
        parts.append(line(at, height - 22, at + 28, height - 22, f"path path{place}"))
        parts.append(text(at + 34, height - 18, name, "start"))
    parts.append(text((left + WIDTH) / 2, height - 4, f"scored tokens, 0 to {most:,}; evidence in nats"))
    return svg(height, "Evidence against an honest host over scored tokens", parts)


def _step(width: float) -> float:
    """A round distance between lines of the grid."""
    power = 10.0 ** math.floor(math.log10(max(width, 1e-9) / 4))
    return next(power * m for m in (1, 2, 5, 10) if width / (power * m) <= 5)
