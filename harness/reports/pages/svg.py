"""The few shapes that figures are drawn with; colours come from the style sheet."""

from __future__ import annotations

from html import escape

from harness.redact import safe_line

WIDTH = 640
LEFT, RIGHT, TOP = 150, 24, 16


def svg(height: float, title: str, parts: list[str]) -> str:
    """A figure with its title for whoever cannot see it."""
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A line of a kind that the style sheet knows."""
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    """A text, made harmless."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(safe_line(text, 60))}</text>'
