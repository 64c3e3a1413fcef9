"""One real comparison of the toy model, judged and stored, for the tests of reports and of what is published."""

from __future__ import annotations

import pytest

from harness.config import Places
from harness.observations.events import Stop
from harness.observations.journal import Journal
from harness.reports.build import build_scorecard
from harness.reports.tokens import Tokens, TokenSheet, tokens_of
from harness.targets.spec import Runtime
from harness.tasking.requests import TaskRequest
from harness.tasking.run import run_tasks


@pytest.fixture(scope="session")
def toy_run(toy, tiny_suite, shared_cache, tmp_path_factory):
    """The folder of a run of a 4-bit copy that claims bf16 and of an honest copy."""
    from tests.conftest import Runner

    results = tmp_path_factory.mktemp("reported")
    run = Runner(shared_cache, results)
    command = f"fidelity compare {toy} rtn:4:{toy} dtype:bf16:{toy}"
    run(toy, (f"rtn:4:{toy}", "bf16"), (f"dtype:bf16:{toy}", ""), suite=str(tiny_suite), ladder=(8, 4), command=command)
    (folder,) = (path.parent for path in results.rglob("run.sqlite"))
    return folder


@pytest.fixture(scope="session")
def toy_tasks(toy, shared_cache, tmp_path_factory):
    """The card of a run of two shipped tasks, five items each, of a 4-bit copy without a control."""
    request = TaskRequest(
        reference=str(toy), candidates=(f"rtn:4:{toy}",), tasks=("fidelity_choices", "fidelity_arithmetic_easy"), limit=5,
        runtime=Runtime(threads=1), control=False,
    )  # fmt: skip
    steps = run_tasks(request, Places(tmp_path_factory.mktemp("tasked"), shared_cache), Stop())
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value[0]


@pytest.fixture(scope="session")
def scored_toy(toy_run):
    """Its scorecard and its tokens."""
    journal = Journal.open(toy_run.parent, str(toy_run))
    try:
        return build_scorecard(journal), tokens_of(journal)
    finally:
        journal.close()


def many(tokens: Tokens, rows: int) -> Tokens:
    """The same sheets with their rows repeated until there are ``rows`` of them in all."""
    sheets = []
    for sheet in tokens.sheets:
        table = sheet.table
        while len(table.rows) < rows // len(tokens.sheets):
            parts = [(own, table.rows[table.owner == i]) for i, own in enumerate(table.sequences)]
            table = type(table).build([*parts, *parts])
        sheets.append(TokenSheet(sheet.label, table))
    return Tokens(tuple(sheets), tokens.pieces)
