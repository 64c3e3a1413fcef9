"""The journal: what is acknowledged is kept, a full disk is an error, a foreign run is refused."""

from __future__ import annotations

import subprocess
import sys

import pytest

from harness.errors import StoredRunError, UnknownName
from harness.observations.journal import Journal, read_manifest, write_atomically
from harness.observations.plan import Plan, PlannedTarget
from harness.prompts.sequences import document_sequence
from harness.targets.rows import empty_rows


def plan(seed=0):
    target = PlannedTarget(
        key="candidate:x", label="x", kind="plain", detail="", base="x", runtime={}, role="candidate", scope="all",
        digest=str(seed),
    )  # fmt: skip
    sequence = document_sequence("a", "prose", "a", range(60), 8)
    return Plan(
        reference=target, targets=(target,), claims=(), honest={}, rungs={}, vocabulary=10, policy=None, baseline="",
        estimator="exact",
        suite={"name": "s", "version": 1, "profile": "full", "digest": ""}, sequences=(sequence.to_json(),), band=(),
        software={},
    )  # fmt: skip


def test_rows_are_kept_with_the_attempt_that_made_them(tmp_path):
    """An attempt is noted before it is made; its rows come back; a second answer does not replace the first."""
    journal = Journal.create(tmp_path, plan(), "test")
    attempt = journal.begin("candidate:x", ["a"])
    journal.finish(attempt, "candidate:x", {"a": empty_rows(3)})
    again = journal.begin("candidate:x", ["a"])
    journal.finish(again, "candidate:x", {"a": empty_rows(5)})
    assert journal.finished("candidate:x") == {"a"}
    assert len(journal.rows("candidate:x", "a")) == 3
    assert journal.rows("candidate:x", "b") is None
    journal.close()


def test_only_the_same_plan_resumes_and_only_while_unfinished(tmp_path):
    """Another plan starts afresh; a complete run is not resumed."""
    journal = Journal.create(tmp_path, plan(), "test")
    journal.set_status("interrupted")
    journal.close()
    assert Journal.resume(tmp_path, plan(seed=1)) is None
    resumed = Journal.resume(tmp_path, plan())
    assert resumed is not None
    assert resumed.folder == journal.folder
    resumed.set_status("complete")
    resumed.close()
    assert Journal.resume(tmp_path, plan()) is None


def test_a_run_in_progress_is_not_taken_over(tmp_path):
    """While one process writes a run, the same command elsewhere starts its own."""
    journal = Journal.create(tmp_path, plan(), "test")
    assert Journal.resume(tmp_path, plan()) is None
    journal.close()
    resumed = Journal.resume(tmp_path, plan())
    assert resumed is not None
    resumed.close()


def test_the_first_fact_stands(tmp_path):
    """Notes are facts; a resumed run does not rewrite them."""
    journal = Journal.create(tmp_path, plan(), "test")
    journal.note("k", "a", {"x": 1})
    journal.note("k", "a", {"x": 2})
    assert journal.noted("k", "a") == {"x": 1}
    assert journal.notes("k") == {"a": {"x": 1}}
    journal.close()


def test_runs_are_found_by_name_and_ambiguity_is_refused(tmp_path):
    """A unique beginning or ending is enough; none or several is an error."""
    journal = Journal.create(tmp_path, plan(), "test")
    journal.close()
    assert Journal.open(tmp_path, journal.folder.name[-6:]).folder == journal.folder
    assert Journal.open(tmp_path, "latest").folder == journal.folder
    with pytest.raises(UnknownName):
        Journal.open(tmp_path, "nothing")


def test_a_damaged_plan_is_an_error_with_a_way_out(tmp_path):
    """A run of another version says which version can read it."""
    journal = Journal.create(tmp_path, plan(), "test")
    journal._db.execute("UPDATE meta SET value = '{}' WHERE key = 'plan'")
    journal._db.commit()
    with pytest.raises(StoredRunError) as caught:
        _ = journal.plan
    assert "manifest" in caught.value.fix
    journal.close()


def test_a_full_disk_is_an_error_and_loses_nothing_that_was_acknowledged(tmp_path):
    """With a limit on file size the journal stops with StorageError; every finished attempt is still there."""
    code = (
        "import resource, signal, sys, numpy as np\n"
        "from pathlib import Path\n"
        "from tests.observations.test_journal import plan\n"
        "from harness.errors import StorageError\nfrom harness.observations.journal import Journal\n"
        "from harness.targets.rows import ROW\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "journal = Journal.create(Path(sys.argv[1]), plan(), 'test')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))\n"
        "done = 0\n"
        "try:\n"
        "    for i in range(200):\n"
        "        attempt = journal.begin('t', [str(i)])\n"
        "        noise = np.random.default_rng(i).bytes(200 * ROW.itemsize)\n"
        "        journal.finish(attempt, 't', {str(i): np.frombuffer(noise, dtype=ROW)})\n"
        "        done += 1\n"
        "except StorageError as error: print(done, error.exit_code, 'free some space' in error.fix)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    done, exit_code, helpful = ran.stdout.split()
    assert (exit_code, helpful) == ("4", "True")
    assert 0 < int(done) < 200
    journal = Journal.open(tmp_path, "latest")
    assert journal.finished("t") == {str(i) for i in range(int(done))}
    journal.close()


def test_atomic_writes_leave_no_half_files(tmp_path):
    """The old content stays until the new one is complete, and no partial file is left."""
    path = tmp_path / "a.json"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
    assert read_manifest(tmp_path) is None
