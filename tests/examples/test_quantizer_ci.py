"""The example repository, for real: the demo model is quantized, gated, and made worse."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from harness.config import Places

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "quantizer-ci"


def run(folder, *arguments):
    env = os.environ | {"FIDELITY_CACHE": str(Places.default().cache), "FIDELITY_RESULTS": str(folder / "results")}
    env.pop("PYTEST_XDIST_TESTRUNUID", None)
    return subprocess.run([sys.executable, *map(str, arguments)], cwd=folder, env=env, text=True, capture_output=True,
                          timeout=900, check=False)  # fmt: skip


@pytest.mark.slow
def test_a_good_copy_passes_and_a_worse_one_fails_by_how_much(smollm, tmp_path):
    """nf4 keeps its policy and its committed baseline; fp4 in its place fails the baseline, and the message says by how much."""
    folder = tmp_path / "repository"
    shutil.copytree(EXAMPLE, folder)
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "model").symlink_to(smollm)
    made = run(folder, "quantize.py", "model", "model-nf4")
    assert made.returncode == 0, made.stderr
    good = run(folder, "-m", "pytest", "-p", "no:cacheprovider")
    assert "2 passed" in good.stdout, good.stdout
    assert "model-nf4 WITHIN" in good.stdout
    shutil.rmtree(folder / "model-nf4")
    run(folder, "quantize.py", "model", "model-nf4", "--kind", "fp4")
    bad = run(folder, "-m", "pytest", "-p", "no:cacheprovider", "-k", "no_worse")
    assert "1 failed" in bad.stdout, bad.stdout
    assert re.search(r"failed +kl_ref_cand<=1.1x baseline: 1\.[5-9]\d times that of baseline 'model-nf4'", bad.stdout)
    assert "fix:" in bad.stdout


def test_the_workflow_names_verbs_and_files_that_exist():
    """The GitHub Actions file is YAML, and every fidelity verb in it is one."""
    from harness.cli.main import _VERBS

    text = (EXAMPLE / ".github" / "workflows" / "fidelity.yml").read_text()
    assert yaml.safe_load(text)["jobs"]["quality"]["steps"]
    assert set(re.findall(r"fidelity (\w+) ", text)) <= set(_VERBS)
    for name in re.findall(r"`([\w./-]+\.(?:py|ya?ml|json))`", (EXAMPLE / "README.md").read_text()):
        assert (EXAMPLE / name).is_file(), name
