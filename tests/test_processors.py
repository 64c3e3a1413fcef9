"""Pools are as large as the processors that a process may use: affinity, and control groups of both versions."""

from __future__ import annotations

import os

import pytest

from harness import processors
from harness.isolation.sandbox import child_environment
from harness.processors import threads_for, usable


@pytest.fixture(autouse=True)
def eight(monkeypatch):
    """A scheduler that allows eight processors, and nobody who asked for a number of threads."""
    monkeypatch.setattr(processors, "_allowed", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


@pytest.fixture
def grouped(tmp_path):
    """A process's folder whose control groups are mounted below a folder of ours; gives (the folder, the mount point)."""

    def make(kind, path, *, shown="/", controllers="cpu,cpuacct", others=()):
        proc, mount = tmp_path / "proc", tmp_path / "cgroup"
        proc.mkdir()
        mount.mkdir()
        line = f"0::{path}" if kind == "cgroup2" else f"4:{controllers}:{path}"
        (proc / "cgroup").write_text("\n".join([*others, line]) + "\n")
        options = "rw" if kind == "cgroup2" else f"rw,{controllers}"
        (proc / "mountinfo").write_text(
            f"24 1 0:21 / /proc rw - proc proc rw\n31 24 0:26 {shown} {mount} rw,nosuid shared:9 - {kind} {kind} {options}\n"
        )
        return proc, mount

    return make


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("max 100000", 8),
        ("200000 100000", 2),
        ("250000 100000", 2),
        ("50000 100000", 1),
        ("1600000 100000", 8),
        ("", 8),
    ],
)
def test_a_quota_of_version_2_counts_in_whole_processors(grouped, text, number):
    """Rounded down, at least one, and never more than the affinity."""
    proc, mount = grouped("cgroup2", "/")
    (mount / "cpu.max").write_text(text)
    assert usable(proc) == number


def test_the_strictest_group_above_the_process_counts(grouped):
    """A quota holds for everything below the group that has it."""
    proc, mount = grouped("cgroup2", "/slice/box/own")
    (mount / "slice" / "box" / "own").mkdir(parents=True)
    (mount / "slice" / "cpu.max").write_text("300000 100000\n")
    (mount / "slice" / "box" / "cpu.max").write_text("400000 100000\n")
    (mount / "slice" / "box" / "own" / "cpu.max").write_text("max 100000\n")
    assert usable(proc) == 3


@pytest.mark.parametrize(("quota", "number"), [("-1", 8), ("400000", 4), ("20000", 1)])
def test_quotas_of_version_1_count_too(grouped, quota, number):
    """They stand in two files, and minus one means none."""
    proc, mount = grouped("cgroup", "/docker/abc", others=["2:memory:/docker/abc", "0::/"])
    (mount / "docker" / "abc").mkdir(parents=True)
    (mount / "docker" / "abc" / "cpu.cfs_quota_us").write_text(f"{quota}\n")
    (mount / "docker" / "abc" / "cpu.cfs_period_us").write_text("100000\n")
    assert usable(proc) == number


@pytest.mark.parametrize("path", ["/docker/abc", "/", "/../other"])
def test_a_container_that_sees_only_its_own_group_finds_it(grouped, path):
    """Its group is mounted as the top, whatever the host calls it."""
    proc, mount = grouped("cgroup", path, shown="/docker/abc")
    (mount / "cpu.cfs_quota_us").write_text("300000")
    (mount / "cpu.cfs_period_us").write_text("100000")
    assert usable(proc) == 3


def test_groups_that_limit_something_else_are_not_read(grouped):
    """A set of processors is known from the affinity; it has no quota."""
    proc, mount = grouped("cgroup", "/", controllers="cpuset")
    (mount / "cpu.cfs_quota_us").write_text("100000")
    (mount / "cpu.cfs_period_us").write_text("100000")
    assert usable(proc) == 8


def test_a_system_without_control_groups_leaves_the_affinity(tmp_path):
    """Nothing to read is no limit."""
    assert usable(tmp_path) == 8


def test_zero_threads_means_what_the_user_set_or_what_may_be_used(monkeypatch):
    """A number that was asked for is taken as it is."""
    monkeypatch.setattr(processors, "usable", lambda: 3)
    assert (threads_for(5), threads_for(0)) == (5, 3)
    monkeypatch.setenv("OMP_NUM_THREADS", "2,1")
    assert (threads_for(5), threads_for(0)) == (5, 2)
    monkeypatch.setenv("OMP_NUM_THREADS", "none")
    assert threads_for(0) == 3


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="affinity can be set on Linux alone")
def test_the_affinity_of_this_process_is_what_counts(monkeypatch, tmp_path):
    """Not how many processors the machine has."""
    monkeypatch.undo()
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert usable(tmp_path) == 1
    finally:
        os.sched_setaffinity(0, before)
    assert usable(tmp_path) == len(before)


def test_isolated_processes_wait_passively_unless_the_user_wants_otherwise(monkeypatch):
    """OpenMP reads it once, when the process loads the library."""
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    assert child_environment()["OMP_WAIT_POLICY"] == "passive"
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    assert child_environment()["OMP_WAIT_POLICY"] == "active"
