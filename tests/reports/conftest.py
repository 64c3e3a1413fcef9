"""What tests of reports share."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def schema_of_every_eval_ever():
    """The published schema; `make setup` unpacks its wheel, which wants a newer Python than ours, without installing it."""
    path = Path(sys.prefix) / "schemas" / "every_eval_ever" / "schemas" / "eval.schema.json"
    if not path.is_file():
        pytest.skip("the schema of Every Eval Ever is not unpacked: make setup")
    return json.loads(path.read_text(encoding="utf-8"))
