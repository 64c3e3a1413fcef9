"""Write a benchmark's result as JSON and print it as a table."""

from __future__ import annotations

import json
import math
import os
import platform
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def write(name: str, rows: list[dict[str, object]], facts: dict[str, object]) -> None:
    """Store ``bench/results/NAME.json`` and print the rows."""
    rows = [{name: _finite(value) for name, value in row.items()} for row in rows]
    facts = {"machine": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()} | facts
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps({"facts": facts, "rows": rows}, indent=1) + "\n")
    columns = list(rows[0])
    print("  ".join(columns))
    for row in rows:
        print("  ".join(str(row[column]) for column in columns))


def _finite(value: object) -> object:
    """What was not reached or not measured is null: JSON has neither infinity nor NaN."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
