"""Work that tells its steps, run to its end."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any


def ended(steps: Generator[Any, None, Any]) -> Any:
    """What a generator of events returns."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value
