"""``gate`` and ``baseline`` from the outside: a stored run judged again, kept, and compared with a later one."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from harness.cli.main import cli
from harness.errors import FidelityError
from harness.observations.journal import read_manifest


@pytest.fixture(scope="module")
def results(toy, tiny_suite, shared_cache, tmp_path_factory):
    """Two runs: three candidates last week, one of them again this week."""
    from tests.conftest import Runner

    folder = tmp_path_factory.mktemp("gated")
    run = Runner(shared_cache, folder)
    candidates = [(f"rtn:4:{toy}", "bf16"), (f"rtn:3:{toy}", "bf16"), (f"dtype:bf16:{toy}", "bf16")]
    first = run(toy, *candidates, suite=str(tiny_suite), ladder=(8, 4, 3))
    second = run(toy, (f"rtn:3:{toy}", "bf16"), suite=str(tiny_suite), ladder=(8, 4, 3))
    return folder, first, second


def fidelity(*args):
    """Exit code (or error) and output."""
    done = CliRunner().invoke(cli, [str(arg) for arg in args], standalone_mode=False)
    if done.exception:
        if not isinstance(done.exception, FidelityError):
            raise done.exception
        return done.exception.exit_code, str(done.exception)
    return done.return_value, done.output


def test_a_stored_run_is_judged_by_other_bounds(results):
    """Passed, failed and undecided; the last line is the verdict, and the run is left as it is."""
    folder, first, _ = results
    before = {path: path.read_bytes() for path in (folder / first.run).iterdir()}
    code, said = fidelity("gate", first.run, "--gate", "kl_ref_cand<=100", "--results", folder)
    assert (code, said.count("The gate passed")) == (0, 3)
    code, said = fidelity("gate", first.run, "--policy", "lossless", "--results", folder)
    assert code == 1
    assert said.strip().splitlines()[-1].startswith("VERDICT: BEYOND cause=quantization exit=1 report=")
    value = first.candidates[0].evidence.check("kl_ref_cand").value
    code, said = fidelity("gate", first.run, "--gate", f"kl_ref_cand<={value}", "--results", folder)
    assert "undecided" in said
    assert {path: path.read_bytes() for path in (folder / first.run).iterdir()} == before


def test_worse_than_last_week_is_a_paired_test(results, tmp_path):
    """The same candidate passes against itself, a coarser one fails by how much, and the file says which is which."""
    folder, first, second = results
    file = tmp_path / "baselines" / "toy.json"
    code, said = fidelity("baseline", "save", first.run, "-o", file, "--candidate", "rtn:3g64", "--results", folder)
    assert code == 0, said
    code, said = fidelity("baseline", "compare", file, second.run, "--results", folder)
    assert code == 0, said
    assert "1.00 times" in said
    finer = tmp_path / "finer.json"
    fidelity("baseline", "save", first.run, "-o", finer, "--candidate", "rtn:4g64", "--results", folder)
    code, said = fidelity("baseline", "compare", finer, second.run, "--results", folder)
    assert code == 1
    assert "failed" in said
    kept = file.read_bytes()
    code, said = fidelity("baseline", "save", second.run, "-o", file, "--new-only", "--results", folder)
    assert code == 0
    assert "already" in said
    assert file.read_bytes() == kept


def test_bad_questions_end_with_a_way_out(results, tmp_path):
    """No policy, a wrong metric, several candidates, an unknown one, a file that cannot be written."""
    folder, first, second = results
    for args, said in (
        (("gate", first.run), "nothing to judge by"),
        (("gate", first.run, "--gate", "kl_ref_cnd<=1"), "did you mean"),
        (("gate", first.run, "--gate", "ear>=baseline"), "--baseline"),
        (("gate", "nowhere", "--policy", "4bit"), "match"),
        (("baseline", "save", first.run, "-o", tmp_path / "b.json"), "3 candidates"),
        (("baseline", "save", first.run, "-o", tmp_path / "b.json", "--candidate", "nf4"), "rtn:4g64"),
        (("baseline", "save", second.run, "-o", "/proc/nowhere/b.json"), "cannot be written"),
    ):
        code, out = fidelity(*args, "--results", folder)
        assert code in {2, 4}, out
        assert said in out


def test_a_baseline_of_another_suite_is_refused(results, toy, runner, tmp_path, tiny_suite):
    """Another suite is another question, whether asked of a stored run or of a new one."""
    folder, _, second = results
    file = tmp_path / "b.json"
    fidelity("baseline", "save", second.run, "-o", file, "--results", folder)
    raw = json.loads(file.read_text())
    raw["conditions"]["suite_digest"] = "0" * 64
    file.write_text(json.dumps(raw))
    code, out = fidelity("baseline", "compare", file, second.run, "--results", folder)
    assert code == 2
    assert "another suite" in out
    with pytest.raises(FidelityError) as caught:
        runner(toy, (f"rtn:3:{toy}", "bf16"), suite=str(tiny_suite), ladder=(), band=False, baseline=file)
    assert "another suite" in str(caught.value)
    assert not list(runner.places.results.glob("*-*"))


def test_a_run_keeps_its_baseline_and_is_judged_the_same_without_the_file(results, toy, runner, tmp_path, tiny_suite):
    """The policy and the baseline are frozen into the plan; ``report`` needs neither file."""
    folder, _, second = results
    file = tmp_path / "b.json"
    fidelity("baseline", "save", second.run, "-o", file, "--results", folder)
    card = runner(toy, (f"rtn:3:{toy}", "bf16"), suite=str(tiny_suite), ladder=(), band=False, baseline=file)
    file.unlink()
    (gate,) = card.candidates[0].evidence.policy.gates
    assert (gate.status, gate.value, gate.gate.text) == ("passed", 1.0, "kl_ref_cand<=1.1x baseline")
    assert card.candidates[0].evidence.policy.frozen
    code, out = fidelity("report", card.run, "--format", "json", "--results", runner.places.results)
    assert code == 0
    assert json.loads(out)["candidates"][0]["evidence"]["policy"]["frozen"] is True


def test_gates_that_the_run_cannot_answer_end_before_it_starts(toy, runner, tiny_suite):
    """A bound in bits without its rungs, one against the band with the band left out."""
    for options in ({"gates": ("bits>=4.2",), "ladder": (8, 6)}, {"gates": ("lossless",), "band": False}):
        with pytest.raises(FidelityError):
            runner(toy, (f"rtn:3:{toy}", "bf16"), suite=str(tiny_suite), **options)
    assert not list(runner.places.results.glob("*-*"))


def test_an_interrupted_run_gives_a_partial_verdict_that_says_so(results, tmp_path):
    """What is beyond may stand, nothing is within; a run in which nothing was scored is refused."""
    import shutil
    import sqlite3

    folder, first, _ = results
    copy = tmp_path / "20260101T000000Z-partial"
    shutil.copytree(folder / first.run, copy)
    manifest = read_manifest(copy).model_copy(update={"status": "interrupted", "run": copy.name})
    (copy / "manifest.json").write_text(manifest.model_dump_json())
    with sqlite3.connect(copy / "run.sqlite") as database:
        database.execute("DELETE FROM rows WHERE target = 'candidate:dtype:bf16'")
        keys = [row[0] for row in database.execute("SELECT DISTINCT sequence FROM rows WHERE target LIKE '%rtn:3%'")]
        database.executemany("DELETE FROM rows WHERE target LIKE '%rtn:3%' AND sequence = ?", [(k,) for k in keys[9:]])
    code, out = fidelity("gate", copy.name, "--gate", "kl_ref_cand<=100", "--results", tmp_path)
    assert code == 3, out
    assert "only part of the run: interrupted after" in out
    assert "before this candidate was scored" in out
    code, out = fidelity("gate", copy.name, "--gate", "kl_ref_cand<=0.0001", "--results", tmp_path)
    assert code == 1, out
    with sqlite3.connect(copy / "run.sqlite") as database:
        database.execute("DELETE FROM rows")
    code, out = fidelity("gate", copy.name, "--policy", "4bit", "--results", tmp_path)
    assert code == 2
    assert "nothing to judge" in out


def test_gating_needs_neither_torch_nor_a_network(results):
    """A stored run is judged in a process that never imports torch, transformers or an HTTP client."""
    folder, first, _ = results
    code = (
        "import sys\nfrom harness.cli.main import cli\n"
        f"cli.main(['gate', {first.run!r}, '--policy', '4bit', '--results', {str(folder)!r}], standalone_mode=False)\n"
        "bad = {'torch', 'transformers', 'httpx2', 'lm_eval', 'scipy.stats'} & set(sys.modules)\n"
        "sys.exit(f'imported: {bad}' if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
