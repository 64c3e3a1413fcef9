"""The command's rim: help, speed, lazy imports."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest
from click.testing import CliRunner

from harness.cli.main import _VERBS, cli

HEAVY = ("torch", "transformers", "scipy", "numpy.linalg", "lm_eval", "bitsandbytes")


def test_help_is_fast_and_imports_nothing_heavy():
    """``fidelity --help`` takes under 0.25 s of CPU and imports no torch, transformers or scipy."""
    code = (
        "import sys, runpy; sys.argv = ['fidelity', '--help']\n"
        "try: runpy.run_module('harness', run_name='__main__')\n"
        "except SystemExit: pass\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    best = float("inf")
    for _ in range(3):  # other processes can only add time
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert done.stdout.rstrip().endswith("[]")
    assert best < 0.25


def test_every_verb_explains_itself():
    """Each listed verb exists, has help, and its short line is not a promise of something else."""
    for verb in _VERBS:
        result = CliRunner().invoke(cli, [verb, "--help"])
        assert result.exit_code == 0, result.output
        assert "Usage:" in result.output


def test_compare_help_imports_no_model_library():
    """Reading the options of the main verb does not load torch."""
    code = "import sys; from harness.cli.compare import command; print('torch' in sys.modules, 'transformers' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_a_crash_is_not_a_verdict(monkeypatch, capsys):
    """An unexpected exception exits with 70: 1 would mean BEYOND."""
    from harness.cli import main as rim

    def boom(**_):
        raise RuntimeError("surprise")

    monkeypatch.setattr(rim.cli, "main", boom)
    with pytest.raises(SystemExit) as caught:
        rim.main()
    assert caught.value.code == 70
    assert "nothing was judged" in capsys.readouterr().err
