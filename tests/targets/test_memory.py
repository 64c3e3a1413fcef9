"""Room for models: a share of what is free, never more than a container may use, none where nothing is known."""

from __future__ import annotations

import pytest

from harness.targets.memory import room_for_models

GIB = 1 << 30


@pytest.fixture
def machine(tmp_path):
    """Writes what a system says of its memory; returns the two places where it says so."""

    def write(free=None, limit=None, used=0):
        if free is not None:
            (tmp_path / "meminfo").write_text(f"MemTotal: 99999999 kB\nMemAvailable: {free >> 10} kB\n")
        if limit is not None:
            (tmp_path / "memory.max").write_text(f"{limit}\n")
            (tmp_path / "memory.current").write_text(f"{used}\n")
        return tmp_path / "meminfo", tmp_path

    return write


def test_a_quarter_of_what_is_free(machine):
    """Other programs are left the rest."""
    assert room_for_models(*machine(free=8 * GIB)) == 2 * GIB


def test_large_machines_are_not_filled(machine):
    """4 GiB at most."""
    assert room_for_models(*machine(free=512 * GIB, limit="max")) == 4 * GIB


def test_a_container_has_less_than_its_machine(machine):
    """Its limit, less what it uses; nothing if it is full."""
    assert room_for_models(*machine(free=64 * GIB, limit=6 * GIB, used=2 * GIB)) == GIB
    assert room_for_models(*machine(free=64 * GIB, limit=2 * GIB, used=3 * GIB)) == 0


@pytest.mark.parametrize("text", ["", "MemAvailable:\n", "MemAvailable: lots kB\n"])
def test_an_unknown_machine_gets_one_model_at_a_time(tmp_path, text):
    """No file, or one that says something else."""
    assert room_for_models(tmp_path / "nothing", tmp_path) == 0
    (tmp_path / "meminfo").write_text(text)
    assert room_for_models(tmp_path / "meminfo", tmp_path) == 0
