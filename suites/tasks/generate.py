"""Writes the items of every suite in this folder: ``python suites/tasks/generate.py``. The same ones each time, by seed."""

from __future__ import annotations

import importlib.util
import json
import random
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SUITES = ("arithmetic", "choices", "instructions", "reading", "schema")


def generated() -> dict[str, str]:
    """The contents of every file, by its name relative to this folder."""
    found = {}
    for suite in SUITES:
        for name, rows in _module(suite).rows(random.Random(f"fidelity-{suite}-1")).items():  # noqa: S311 - no secret
            found[f"{suite}/{name}.jsonl"] = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return found


def _module(suite: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"suite_{suite}", HERE / suite / "make.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    for name, text in generated().items():
        (HERE / name).write_text(text, encoding="utf-8")
