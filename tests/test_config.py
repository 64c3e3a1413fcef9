"""Folders that several processes of one user share."""

from __future__ import annotations

import subprocess
import sys

import pytest

from harness.config import alone, writable
from harness.errors import StorageError

HOLDER = """
import sys, time
from pathlib import Path
from harness.config import alone
with alone(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_what_another_process_makes_is_waited_for(tmp_path):
    """Two runs that need the same model make it once, one after the other; a process that ends lets go."""
    target = tmp_path / "folder" / "model.gguf"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(target)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as one:
        assert one.stdout.readline() == b"held\n"
        with subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(target)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as two:
            one.stdin.close()
            assert two.stdout.readline() == b"held\n"
            two.kill()
    with alone(target):
        assert not target.exists()


def test_a_probe_of_another_process_is_left_alone(tmp_path):
    """Each has its own, so that none finds its own gone."""
    (tmp_path / ".write-probe.1").write_bytes(b"x")
    assert writable(tmp_path, "cache") == tmp_path
    assert [path.name for path in tmp_path.iterdir()] == [".write-probe.1"]


@pytest.mark.parametrize(
    ("purpose", "way_out"), [("cache", "FIDELITY_CACHE"), ("results", "FIDELITY_RESULTS"), ("output", "name a folder")]
)
def test_a_folder_that_cannot_be_written_to_comes_with_the_way_to_another_one(tmp_path, purpose, way_out):
    """A folder that was named on the command line is not moved by a variable."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError) as error:
        writable(tmp_path / "file" / "folder", purpose)
    assert way_out in error.value.fix
