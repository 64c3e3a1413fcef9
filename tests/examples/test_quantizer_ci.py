"""The example repository, for real: the demo model is quantized and gated."""

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
                          timeout=3600, check=False)  # fmt: skip


@pytest.mark.slow
def test_a_copy_is_quantized_and_keeps_policy_and_baseline(smollm, tmp_path):
    """The demo model in nf4, made by the example's own script, is held against the committed policy and baseline."""
    folder = tmp_path / "repository"
    shutil.copytree(EXAMPLE, folder)
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "model").symlink_to(smollm)
    made = run(folder, "quantize.py", "model", "model-nf4")
    assert made.returncode == 0, made.stderr
    good = run(folder, "-m", "pytest", "-p", "no:cacheprovider")
    assert "2 passed" in good.stdout, good.stdout
    assert "model-nf4 WITHIN" in good.stdout


def test_the_workflow_names_verbs_and_files_that_exist():
    """The GitHub Actions file is YAML, and every fidelity verb in it is one."""
    from harness.cli.main import _VERBS

    text = (EXAMPLE / ".github" / "workflows" / "fidelity.yml").read_text()
    assert yaml.safe_load(text)["jobs"]["quality"]["steps"]
    assert set(re.findall(r"fidelity (\w+) ", text)) <= set(_VERBS)
    for name in re.findall(r"`([\w./-]+\.(?:py|ya?ml|json))`", (EXAMPLE / "README.md").read_text()):
        assert (EXAMPLE / name).is_file(), name
