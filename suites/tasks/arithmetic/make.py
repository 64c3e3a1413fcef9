"""Sums and products with exact answers, in three difficulties."""

from __future__ import annotations

import random
from typing import Any

_EACH = 60


def rows(rng: random.Random) -> dict[str, list[dict[str, Any]]]:
    """60 items per difficulty; no sum comes twice."""
    return {name: _different(name, make, rng) for name, make in _MAKERS.items()}


def _easy(rng: random.Random) -> tuple[str, int]:
    """Sums of two numbers up to 20."""
    a, b = rng.randint(2, 20), rng.randint(2, 20)
    return f"{a} + {b}", a + b


def _medium(rng: random.Random) -> tuple[str, int]:
    """Sums and differences of two digits, and the small multiplication table."""
    kind = rng.choice("+-x")
    if kind == "x":
        a, b = rng.randint(3, 12), rng.randint(3, 12)
        return f"{a} x {b}", a * b
    a, b = rng.randint(20, 99), rng.randint(20, 99)
    a, b = max(a, b), min(a, b)
    return (f"{a} + {b}", a + b) if kind == "+" else (f"{a} - {b}", a - b)


def _hard(rng: random.Random) -> tuple[str, int]:
    """Three digits, or two steps."""
    kind = rng.choice(["sum", "product", "steps"])
    a, b, c = rng.randint(100, 999), rng.randint(100, 999), rng.randint(3, 9)
    if kind == "sum":
        return f"{a} + {b}", a + b
    if kind == "product":
        return f"{a} x {c}", a * c
    return f"{a % 50 + 2} x {c} + {b % 90 + 3}", (a % 50 + 2) * c + b % 90 + 3


_MAKERS = {"easy": _easy, "medium": _medium, "hard": _hard}


def _different(name: str, make: Any, rng: random.Random) -> list[dict[str, Any]]:
    found: dict[str, int] = {}
    while len(found) < _EACH:
        text, answer = make(rng)
        found.setdefault(text, answer)
    return [
        {"id": f"arithmetic-{name}-{number:02d}", "sum": text, "answer": str(answer)}
        for number, (text, answer) in enumerate(found.items())
    ]
