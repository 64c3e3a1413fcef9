"""A name means one run, whatever its kind; a damaged one is named and hides no other."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from harness.auditing import AuditFolder
from harness.cli.main import cli
from harness.errors import StoredRunError, UnknownName
from harness.observations.journal import Journal
from harness.observations.stored_runs import find_run, stored_runs
from harness.reports.audit_card import AuditPlan
from harness.targets.endpoint.budget import Caps
from harness.tasking.store import TaskFolder
from tests.observations.test_journal import plan

AUDIT = AuditPlan(
    reference="r", endpoint="http://127.0.0.1:1/v1#m", requests=8, tokens=16, honest=("reference",), families={}, near=(),
    required=(), controls=(), caps=Caps(), alpha=0.01, nonce="n", draws=4, questions="q", template="t", tokenizer="k",
    clock="2026-01-01T12:00:00",
)  # fmt: skip


@pytest.fixture
def results(tmp_path):
    """A comparison, then an audit, then one folder of each kind that nobody can read."""
    journal = Journal.create(tmp_path, plan(), "test")
    journal.close()
    with AuditFolder.create(tmp_path, AUDIT) as audit:
        pass
    comparison, stamp = journal.folder.name, datetime.now(UTC).strftime("%Y%m%d")
    journal.folder.rename(tmp_path / "20260101T000000Z-aaaaaa")
    audit.folder.rename(tmp_path / "20260102T000000Z-audit-aaaaab")
    for name in ("20250101T000000Z-audit-bbbbbb", "20250101T000000Z-tasks-cccccc", "20250101T000000Z-dddddd"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "plan.json").write_text("{}")
        (tmp_path / name / "manifest.json").write_text("{broken")
    (tmp_path / "not-a-run").mkdir()
    assert comparison.startswith(stamp)
    return tmp_path


def fidelity(*arguments, results):
    return CliRunner().invoke(cli, [*arguments, "--results", str(results)])


def test_one_unreadable_run_of_each_kind_hides_no_other(results):
    """Each is named as such; the others are listed, newest last."""
    lines = fidelity("ls", results=results).stdout.splitlines()
    assert [line.split()[1] for line in lines] == ["unreadable"] * 3 + ["started", "unfinished"]
    assert lines[-1].startswith("20260102T000000Z-audit-aaaaab")


@pytest.mark.parametrize("name", ["latest", "20260102", "aaaaab", "20260102T000000Z-audit-aaaaab"])
def test_an_audit_is_shown_by_every_name_that_it_has(results, name):
    """And never the comparison beside it."""
    shown = fidelity("show", name, results=results)
    assert "20260102T000000Z-audit-aaaaab" in shown.stdout
    assert find_run(results, name).name == "20260102T000000Z-audit-aaaaab"


def test_a_name_of_several_kinds_is_refused_with_what_it_may_mean(results):
    """Half a name must not show whichever run was looked for first."""
    with pytest.raises(UnknownName, match=r"2 stored runs.*aaaaaa.*aaaaab"):
        find_run(results, "2026")
    with pytest.raises(UnknownName, match="0 stored runs"):
        find_run(results, "not-a-run")


@pytest.mark.parametrize("name", ["bbbbbb", "cccccc", "dddddd"])
@pytest.mark.parametrize("verb", ["show", "report"])
def test_a_damaged_run_is_an_error_with_its_place(results, name, verb):
    """And no crash, in which a reader looks in vain for what to do."""
    ran = fidelity(verb, name, results=results)
    assert isinstance(ran.exception, StoredRunError)
    assert name in ran.exception.where


def test_a_gate_of_an_audit_says_what_it_is(results):
    """A gate judges comparisons."""
    ran = fidelity("gate", "aaaaab", "--gate", "kl_ref_cand<=1", results=results)
    assert isinstance(ran.exception, UnknownName)
    assert "the audit" in str(ran.exception)


def test_a_database_that_is_none_is_a_damaged_run(results):
    """Whatever is read of it first."""
    (results / "20260101T000000Z-aaaaaa" / "run.sqlite").write_bytes(b"no database at all" * 100)
    for verb in ("show", "report"):
        assert isinstance(fidelity(verb, "aaaaaa", results=results).exception, StoredRunError)


def test_runs_are_sorted_by_their_time_and_other_folders_are_none(results):
    """Names begin with the time."""
    assert [path.name[:8] for path in stored_runs(results)] == ["20250101"] * 3 + ["20260101", "20260102"]
    assert AuditFolder.open(results, "aaaaaa") is None
    assert TaskFolder.open(results, "latest") is None
