"""The built wheel, installed somewhere else."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_the_wheel_carries_the_suites_and_works_from_elsewhere(tmp_path):
    """Built from the checkout and unpacked into an empty environment, the command lists and hashes the suites."""
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "harness/_suites/core/items.jsonl" in names
    assert "harness/py.typed" in names
    assert not [name for name in names if name.startswith(("tests/", "bench/", "results/"))]
    home = tmp_path / "env"
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    site = subprocess.run(
        [python, "-c", "import site; print(site.getsitepackages()[0])"], capture_output=True, text=True, check=True
    )
    zipfile.ZipFile(wheel).extractall(site.stdout.strip())
    # the dependencies come from this environment, the package itself from the wheel
    paths = os.pathsep.join(p for p in sys.path if p.endswith("site-packages"))
    (Path(site.stdout.strip()) / "borrowed.pth").write_text(paths.replace(os.pathsep, "\n"))
    code = "import harness, sys; print(harness.__file__); from harness.cli.main import cli; cli(['suites'])"
    done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert str(home) in done.stdout, done.stderr
    assert "core v1" in done.stdout
