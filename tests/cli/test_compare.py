"""The main verb from the outside, on a toy checkpoint: exit codes, output, bad input, resume."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from harness.observations.journal import Journal, read_manifest
from tests.support.command import command
from tests.support.toy import edit_json, edit_tensors, make_odd_head, make_toy


@pytest.fixture
def fidelity(shared_cache, tiny_suite, tmp_path):
    """Run the command as a user would; returns exit code and output."""

    def run(*args, results=None, env=None):
        places = {"FIDELITY_CACHE": str(shared_cache), "FIDELITY_RESULTS": str(results or tmp_path / "results")}
        if args[0] == "compare":
            args = (*args, "--suite", tiny_suite, "--threads", "1")
        return command(*args, env=places | (env or {}))

    return run


def runs(folder):
    return sorted(folder.glob("*-*")) if folder.is_dir() else []


def test_a_quantized_copy_is_beyond_and_a_run_can_be_judged_again(fidelity, toy, tmp_path):
    """Exit 1, the verdict is the last line of stdout, the folder holds every rendering, and ``report`` agrees offline."""
    done = fidelity("compare", toy, f"rtn:3:{toy}", "--claim", "bf16", "--ladder", "8,4,3")
    assert done.returncode == 1, done.stderr
    last = done.stdout.strip().splitlines()[-1]
    assert re.match(r"VERDICT: BEYOND cause=quantization exit=1 report=.*report\.html$", last)
    (folder,) = runs(tmp_path / "results")
    assert {"manifest.json", "run.sqlite", "scorecard.json", "report.html", "report.md"} == {
        p.name for p in folder.iterdir()
    }
    stored = (folder / "scorecard.json").read_bytes()
    again = fidelity("report", folder.name, "--format", "json", "-o", tmp_path / "again.json")
    assert again.returncode == 1
    assert (tmp_path / "again.json").read_bytes() == stored
    assert "complete" in fidelity("ls").stdout
    assert "16 of 16 items" in fidelity("show").stdout


def test_a_sketched_reference_gives_the_same_verdict_and_prints_its_error(fidelity, toy, tmp_path):
    """With ``--reference-cache sketch`` the KL is within 2 % of the exact one, and the report states what is certain."""
    arguments = ("compare", toy, f"rtn:3:{toy}", "--claim", "bf16", "--ladder", "none")
    cards = {}
    for kind in ("hidden", "sketch"):
        done = fidelity(*arguments, "--reference-cache", kind, results=tmp_path / kind)
        assert done.returncode == 1, done.stderr
        assert "cause=quantization" in done.stdout
        assert ("part of the KL that is certain" in done.stdout) == (kind == "sketch")
        (folder,) = runs(tmp_path / kind)
        cards[kind] = json.loads((folder / "scorecard.json").read_bytes())
    assert cards["sketch"]["estimator"] == "sketch"
    kl = {kind: {c["key"]: c for c in card["candidates"][0]["evidence"]["checks"]} for kind, card in cards.items()}
    exact, sketched = kl["hidden"]["kl_ref_cand"]["value"], kl["sketch"]["kl_ref_cand"]["value"]
    assert sketched == pytest.approx(exact, rel=0.02)
    assert kl["sketch"]["kl_lower"]["value"] <= exact * 1.0001
    assert "standard error" in kl["sketch"]["kl_lower"]["note"]
    done = fidelity("compare", toy, toy, "--ladder", "none", "--reference-cache", "sketch", results=tmp_path / "same")
    assert done.returncode == 0, done.stderr
    assert "exactly zero" in done.stdout


def test_a_reference_whose_head_cannot_be_replayed_is_sketched(fidelity, tmp_path):
    """RoBERTa's head is a small network of its own: 'hidden' is refused with a fix, the default says what it does."""
    odd = make_odd_head(tmp_path / "odd")
    arguments = ("compare", odd, f"rtn:3:{odd}", "--claim", "fp32", "--ladder", "none")
    refused = fidelity(*arguments, "--reference-cache", "hidden")
    assert refused.returncode == 4
    assert "cannot be replayed" in refused.stderr
    assert "--reference-cache" in refused.stderr
    done = fidelity(*arguments)
    assert done.returncode == 1, done.stderr
    assert "kept as a sketch" in done.stderr
    same = fidelity("compare", odd, odd, "--ladder", "none")
    assert same.returncode == 0, same.stderr
    assert "exactly zero" in same.stdout


def test_the_same_model_is_within_and_exactly_zero(fidelity, toy):
    """Exit 0, and the warning that nothing was quantized."""
    done = fidelity("compare", toy, toy, "--ladder", "none")
    assert done.returncode == 0, done.stderr
    assert "DIST302" in done.stdout
    assert done.stdout.strip().splitlines()[-1].startswith("VERDICT: WITHIN exit=0")


def test_gates_decide_when_they_are_given(fidelity, toy):
    """Passed, failed and undecided gates exit with 0, 1 and 3."""
    common = ("compare", toy, f"rtn:4:{toy}", "--claim", "bf16", "--no-band", "--ladder", "none")
    seen = fidelity(*common, "--gate", "kl_ref_cand<=100").stdout
    value, low, high = (
        float(x) for x in re.search(r": ([\d.e-]+) nat/token \(interval ([\d.e-]+) to ([\d.e-]+)\)", seen).groups()
    )
    assert "passed" in seen
    assert fidelity(*common, "--gate", f"kl_ref_cand<={low / 2}").returncode == 1
    assert fidelity(*common, "--gate", f"kl_ref_cand<={(value + high) / 2}").returncode == 3


def broken(kind, toy, folder):
    """A checkpoint with one fault, and what the error must say."""
    if kind == "missing":
        return folder, 4, "no checkpoint at this path"
    if kind == "cut vocabulary":
        return make_toy(folder, vocabulary=200), 4, "tokenizer knows"
    shutil.copytree(toy, folder)
    if kind == "nan":
        edit_tensors(folder, lambda name, t: t * float("nan") if name == "model.norm.weight" else t)
        return folder, 4, "NaN or infinite"
    if kind == "truncated":
        data = (folder / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(data[:-5000])
        return folder, 4, "ends early"
    if kind == "pickle":
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
        return folder, 4, "pickles"
    if kind == "incomplete":
        edit_json(folder / "config.json", num_hidden_layers=3)
        return folder, 4, "missing or of the wrong shape"
    edit_json(folder / "config.json", model_type="no-such-model", architectures=["NoSuchModel"])
    return folder, 4, "cannot load"


@pytest.mark.parametrize(
    "kind", ["missing", "nan", "truncated", "pickle", "incomplete", "cut vocabulary", "unknown architecture"]
)
def test_broken_candidates_get_an_error_with_a_way_out(fidelity, toy, tmp_path, kind):
    """Each exits with 4, says what and where and what to do, shows no traceback, and never counts as complete."""
    folder, code, words = broken(kind, toy, tmp_path / "candidate")
    done = fidelity("compare", toy, folder, "--ladder", "none", "--no-band", "--gate", "kl_ref_cand<=1")
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "fix:" in done.stderr
    assert "Traceback" not in done.stderr
    assert "VERDICT" not in done.stdout
    for run in runs(tmp_path / "results"):
        assert read_manifest(run).status == "error"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("compare", "{toy}"), "give candidates"),
        (("compare", "{toy}", "bnb:int3:{toy}"), "int8, nf4, fp4"),
        (("compare", "{toy}", "{toy}", "--claim", "awesome"), "cannot be rebuilt"),
        (("compare", "{toy}", "{toy}", "--gate", "kl<=1"), "there is no metric"),
        (("compare", "{toy}", "{toy}", "--profile", "huge"), "no profile"),
        (("compare", "{toy}", "{toy}", "--ladder", "9"), "2 to 8"),
        (("report", "nothing-here"), "match"),
    ],
)
def test_usage_errors_exit_with_2(fidelity, toy, args, words):
    """Nothing runs, and the message says what would have been right."""
    done = fidelity(*(arg.format(toy=toy) for arg in args))
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_candidate_without_a_template_is_a_template_fault(fidelity, toy, tmp_path):
    """The verdict is BEYOND(template), and the distribution is still measured on the reference's ids."""
    folder = shutil.copytree(toy, tmp_path / "bare")
    (folder / "chat_template.jinja").unlink()
    done = fidelity("compare", toy, folder, "--ladder", "none")
    assert done.returncode == 1, done.stderr
    assert "TMPL103" in done.stdout
    assert "cause=template" in done.stdout.strip().splitlines()[-1]


def test_a_reference_without_a_template_is_compared_on_plain_texts(fidelity, toy, tmp_path):
    """A base model has no conversations; that they were left out is said while it runs and on the card."""
    folder = shutil.copytree(toy, tmp_path / "bare")
    (folder / "chat_template.jinja").unlink()
    done = fidelity("compare", folder, toy)
    assert done.returncode == 0, done.stderr
    assert "no chat template" in done.stderr
    (run,) = runs(tmp_path / "results")
    assert "no chat template" in (run / "scorecard.json").read_text(encoding="utf-8")


def test_another_vocabulary_is_a_tokenizer_fault_and_is_not_scored(fidelity, toy, tmp_path):
    """Token divergences between different vocabularies mean nothing; the verdict names the tokenizer."""
    folder = shutil.copytree(toy, tmp_path / "other")
    text = (folder / "tokenizer.json").read_text()
    (folder / "tokenizer.json").write_text(text.replace('"A":', '"\u0100\u0100":', 1))
    done = fidelity("compare", toy, folder, "--ladder", "none")
    assert done.returncode == 1, done.stderr
    assert "cause=tokenizer" in done.stdout.strip().splitlines()[-1]
    assert "NOT_TESTABLE" in done.stdout
    assert "bits per byte where the reference needs" in " ".join(done.stdout.split())


def test_a_folder_that_cannot_be_written_is_an_error(fidelity, toy, tmp_path):
    """Results and cache folders are proved writable before anything runs."""
    file = tmp_path / "file"
    file.write_text("in the way")
    done = fidelity("compare", toy, toy, results=file / "results")
    assert done.returncode == 4
    assert "FIDELITY_RESULTS" in done.stderr
    done = fidelity("compare", toy, toy, env={"FIDELITY_CACHE": str(file / "cache")})
    assert done.returncode == 4
    assert "FIDELITY_CACHE" in done.stderr


def test_a_missing_extra_names_the_install_command(fidelity, toy, tmp_path):
    """Without bitsandbytes, bnb:nf4 says how to get it."""
    blocked = tmp_path / "site" / "bitsandbytes"
    blocked.mkdir(parents=True)
    (blocked / "__init__.py").write_text("raise ImportError('No module named bitsandbytes')")
    code = (
        "import sys; sys.path.insert(0, sys.argv.pop(1))\n"
        "from harness.targets.checkpoint.loading import load_model\nfrom harness.targets.spec import parse_spec\n"
        "from harness.errors import MissingExtra\n"
        "try: load_model(parse_spec('bnb:nf4:' + sys.argv[1]))\nexcept MissingExtra as error: print(error.fix)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(blocked.parent), str(toy)], capture_output=True, text=True, check=True
    )
    assert "pip install 'fidelity-harness[bitsandbytes]'" in done.stdout


def start(toy, tiny_suite, cache, results):
    env = os.environ | {"FIDELITY_CACHE": str(cache), "FIDELITY_RESULTS": str(results)}
    words = [sys.executable, "-m", "harness", "compare", str(toy), f"rtn:4:{toy}", f"rtn:3:{toy}", "--claim", "bf16",
               "--ladder", "8", "--suite", str(tiny_suite), "--threads", "1", "--display", "plain"]  # fmt: skip
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    return process, words, env


@pytest.mark.parametrize("blow", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)])
def test_a_stopped_run_resumes_and_ends_like_an_unbroken_one(toy, tiny_suite, shared_cache, tmp_path, blow):
    """After Ctrl-C or kill -9 the same command goes on in the same folder, asks nothing twice, and finds the same."""
    process, words, env = start(toy, tiny_suite, shared_cache, tmp_path / "results")
    for line in process.stderr:
        if line.startswith("[candidate] rtn:3"):
            process.send_signal(blow)
            break
    rest = process.stderr.read()
    code = process.wait(timeout=600)
    assert code == (130 if blow is signal.SIGINT else -signal.SIGKILL)
    (folder,) = runs(tmp_path / "results")
    if blow is signal.SIGINT:
        assert "same command" in rest
        assert read_manifest(folder).status == "interrupted"
    journal = Journal.open(tmp_path / "results", folder.name)
    kept = journal.finished("candidate:rtn:4g64")
    journal.close()
    assert len(kept) == 16
    done = command(*words[3:], env=env)
    assert done.returncode == 1, done.stderr
    assert "resuming" in done.stderr
    assert runs(tmp_path / "results") == [folder]
    assert "[candidate] rtn:4" not in done.stderr
    fresh = command(*words[3:], "--fresh", env=env)
    assert fresh.returncode == 1
    table = re.compile(r"KL\(reference.*")
    assert table.findall(fresh.stdout) == table.findall(done.stdout)


def test_a_killed_worker_is_an_error_and_the_run_resumes(toy, tiny_suite, shared_cache, tmp_path):
    """The isolated process dies of SIGKILL (out of memory): exit 4, journal intact, the same command goes on."""
    process, words, env = start(toy, tiny_suite, shared_cache, tmp_path / "results")
    for line in process.stderr:
        if line.startswith("[candidate] rtn:3"):
            children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=False)
            for pid in children.stdout.split():
                os.kill(int(pid), signal.SIGKILL)
            break
    rest = process.stderr.read()
    assert process.wait(timeout=600) == 4
    assert "SIGKILL" in rest
    assert "Traceback" not in rest
    time.sleep(0.1)
    done = command(*words[3:], env=env)
    assert done.returncode == 1
    assert "resuming" in done.stderr
