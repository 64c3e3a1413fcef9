"""The pytest plugin, by pytest itself on a toy checkpoint: inert, gates, baselines, updates, workers."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys

import pytest

pytest_plugins = ["pytester"]


@pytest.fixture
def repository(pytester, toy, tiny_suite, shared_cache, monkeypatch):
    """A repository with a model, a suite and the plugin as it is installed."""
    monkeypatch.setenv("FIDELITY_CACHE", str(shared_cache))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("PYTEST_XDIST_TESTRUNUID", raising=False)
    shutil.copytree(toy, pytester.path / "model")
    shutil.copytree(tiny_suite, pytester.path / "tiny")

    def run(source, *options):
        pytester.makepyfile(test_quality=COMMON + source)
        return pytester.runpytest_subprocess("-p", "no:randomly", *options)

    run.path = pytester.path
    return run


COMMON = """
import pytest
BUILD = dict(reference="model", claim="bf16", suite="tiny", profile="full", band=False, ladder=[4, 3], threads=1)
"""
MARKED = """
@pytest.mark.fidelity(**BUILD, candidate="rtn:4:model", gates=["bits>=3.5"])
def test_good(): pass

@pytest.mark.fidelity(**BUILD, candidate="rtn:3:model", gates=["bits>=3.5"])
def test_bad(): pass
"""


def runs(folder):
    return sorted(
        path.name for path in (folder / "results").glob("*-*") if path.is_dir() and not path.name.startswith(".")
    )


def test_a_marker_fails_with_findings_and_not_with_a_dump(repository):
    """The message holds verdict, gates with intervals, findings and the way to the report; no traceback, no dict."""
    done = repository(MARKED)
    done.assert_outcomes(passed=1, failed=1)
    said = done.stdout.str()
    assert "rtn:3g64 is BEYOND (quantization) against model" in said
    assert re.search(r"failed +bits>=3.5: KL is [\d.]+ times that of round to nearest at 3.5 bits \(interval", said)
    assert "fix: declare the quantization" in said
    assert re.search(r"report: .*/report-\w+\.html", said)
    assert "Traceback" not in said
    assert "CandidateEvidence" not in said
    assert "test_quality.py::test_good: rtn:4g64 WITHIN" in said
    assert len(runs(repository.path)) == 2


@pytest.mark.slow
def test_a_comparison_is_made_once_for_all_tests_and_workers(repository):
    """Three tests in two workers ask two questions: two runs; the numbers reach JUnit through pytest."""
    source = (
        MARKED
        + """
@pytest.mark.fidelity(**BUILD, candidate="rtn:4:model", gates=["kl_ref_cand<=10"])
def test_same_run_other_gate(fidelity):
    assert 0 < fidelity.answer.value("kl_ref_cand") < 10
"""
    )
    done = repository(source, "-n", "2", "--dist", "load", "--junitxml", "junit.xml")
    done.assert_outcomes(passed=2, failed=1)
    assert len(runs(repository.path)) == 2
    assert 'name="fidelity" value="rtn:4g64 WITHIN' in (repository.path / "junit.xml").read_text()
    assert "test_same_run_other_gate: rtn:4g64 WITHIN" in done.stdout.str()


@pytest.mark.slow
def test_baselines_are_written_only_when_asked(repository):
    """Missing fails with the way out; new-only writes what is missing; update writes all; what is worse fails by how much."""
    source = """
@pytest.mark.fidelity(**BUILD, candidate="{}", baseline="baselines/int.json")
def test_no_worse(): pass
"""
    file = repository.path / "baselines" / "int.json"
    done = repository(source.format("rtn:4:model"))
    done.assert_outcomes(failed=1)
    assert "--fidelity-update-new-only" in done.stdout.str()
    assert runs(repository.path) == []
    repository(source.format("rtn:4:model"), "--fidelity-update-new-only").assert_outcomes(passed=1)
    first = file.read_bytes()
    repository(source.format("rtn:4:model")).assert_outcomes(passed=1)
    done = repository(source.format("rtn:3:model"), "--fidelity-update-new-only")
    done.assert_outcomes(failed=1)
    assert re.search(r"failed +kl_ref_cand<=1.1x baseline: [\d.]+ times that of baseline 'rtn:4g64'", done.stdout.str())
    assert file.read_bytes() == first
    done = repository(source.format("rtn:3:model"), "--fidelity-update")
    done.assert_outcomes(passed=1)
    assert "baseline written: int.json" in done.stdout.str()
    assert json.loads(file.read_text())["label"] == "rtn:3g64"


@pytest.mark.slow
def test_the_fixture_compares_and_a_command_line_gate_counts_for_all(repository):
    """``compare`` fails the test by itself; with ``check=False`` the test decides; ``--fidelity-fail`` is added to every one."""
    source = """
def test_checked(fidelity):
    fidelity.compare(**BUILD, candidate="rtn:3:model", gates=["kl_ref_cand<=10"])

def test_unchecked(fidelity):
    answer = fidelity.compare(**BUILD, candidate="rtn:3:model", gates=["kl_ref_cand<=0"], check=False)
    assert answer.outcome == "BEYOND"
"""
    repository(source).assert_outcomes(passed=2)
    done = repository(source, "--fidelity-fail", "kl_ref_cand<=0.001")
    done.assert_outcomes(passed=1, failed=1)


MISTAKES = {
    "metric": (
        '@pytest.mark.fidelity(**BUILD, candidate="rtn:3:model", gates=["kl_ref_cnd<=1"])',
        "did you mean 'kl_ref_cand'",
    ),
    "word": ('@pytest.mark.fidelity(**BUILD, candidat="rtn:3:model")', "did you mean 'candidate'"),
    "missing": ("@pytest.mark.fidelity(**BUILD)", "needs a reference and a candidate"),
    "nowhere": ('@pytest.mark.fidelity(**BUILD, candidate="nowhere")', "nowhere"),
    "place": ('@pytest.mark.fidelity("model", "rtn:3:model")', "takes keywords"),
}


def test_mistakes_are_told_in_one_line(repository):
    """A wrong word, gate or path fails the test with what to write instead, and nothing is run."""
    source = "".join(f"\n{marker}\ndef test_{name}(): pass\n" for name, (marker, _) in MISTAKES.items())
    done = repository(f"{source}\ndef test_bare(fidelity): fidelity.answer\n")
    done.assert_outcomes(failed=len(MISTAKES) + 1)
    for said in [said for _, said in MISTAKES.values()] + ["needs @pytest.mark.fidelity"]:
        assert said in done.stdout.str()
    assert runs(repository.path) == []


@pytest.mark.slow
def test_an_undecided_gate_never_passes(repository):
    """It fails, or skips where the session was told so."""
    source = """
def test_it(fidelity):
    value = fidelity.compare(**BUILD, candidate="rtn:3:model", gates=["kl_ref_cand<=99"]).value("kl_ref_cand")
    fidelity.compare(**BUILD, candidate="rtn:3:model", gates=[f"kl_ref_cand<={value * 1.001}"])
"""
    done = repository(source)
    done.assert_outcomes(failed=1)
    assert "more documents would decide" in done.stdout.str()
    repository(source, "--fidelity-undecided", "skip").assert_outcomes(skipped=1)


@pytest.mark.slow
def test_a_model_that_is_made_again_is_compared_again(repository):
    """Within a session and after it: a stored answer belongs to the files, not to their path."""
    source = """
from pathlib import Path
from tests.support.toy import edit_tensors
import shutil

def test_it(fidelity):
    shutil.copytree("model", "copy")
    first = fidelity.compare(**BUILD, candidate="copy", gates=["kl_ref_cand<=99"]).value("kl_ref_cand")
    edit_tensors(Path("copy"), lambda name, tensor: tensor * 1.01)
    second = fidelity.compare(**BUILD, candidate="copy", gates=["kl_ref_cand<=99"]).value("kl_ref_cand")
    assert first == 0 < second
"""
    repository(source).assert_outcomes(passed=1)


def test_the_plugin_is_inert_and_costs_nothing(tmp_path):
    """A session that does not use it imports nothing of the harness but the plugin, within 20 ms of CPU."""
    (tmp_path / "test_plain.py").write_text(
        "import sys\n\ndef test_plain():\n"
        "    loaded = {name for name in sys.modules if name.split('.')[0] in ('harness', 'numpy', 'pydantic', 'torch')}\n"
        "    assert loaded <= {'harness', 'harness.pytest_plugin'}, loaded\n"
    )
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
                          capture_output=True, text=True, check=False, cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stdout
    script = (
        "import pytest, time\nstart = time.process_time()\nimport harness.pytest_plugin\n"
        "print(time.process_time() - start)"
    )
    costs = [float(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout)
             for _ in range(3)]  # fmt: skip
    assert min(costs) < 0.020
