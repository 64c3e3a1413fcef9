"""One real comparison of the toy model for all tests of reports."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from harness.observations.journal import Journal
from harness.reports.tokens import tokens_of


@pytest.fixture(scope="session")
def scored_toy(toy, tiny_suite, shared_cache, tmp_path_factory):
    """Scorecard and tokens of a 4-bit copy that claims bf16 and of an honest copy."""
    from tests.conftest import Runner

    results = tmp_path_factory.mktemp("reported")
    run = Runner(shared_cache, results)
    card = run(toy, (f"rtn:4:{toy}", "bf16"), (f"dtype:bf16:{toy}", ""), suite=str(tiny_suite), ladder=(8, 4))
    (folder,) = (path.parent for path in results.rglob("run.sqlite"))
    journal = Journal.open(folder.parent, str(folder))
    try:
        return card, tokens_of(journal)
    finally:
        journal.close()


@pytest.fixture(scope="session")
def schema_of_every_eval_ever():
    """The published schema; `make setup` unpacks its wheel, which wants a newer Python than ours, without installing it."""
    path = Path(sys.prefix) / "schemas" / "every_eval_ever" / "schemas" / "eval.schema.json"
    if not path.is_file():
        pytest.skip("the schema of Every Eval Ever is not unpacked: make setup")
    return json.loads(path.read_text(encoding="utf-8"))
