"""Forked processes: as apart from one another as those that are started anew, and told of as truly when they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from harness.isolation import fork_server
from harness.isolation.fork_server import Forked, start
from tests.isolation import echoing

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks are had on Linux alone")
MODULE = echoing.__name__


class SeeingTests(subprocess.Popen):
    """Without ``-I``, and beside the tests."""

    def __init__(self, command, **options):
        super().__init__([command[0], *command[2:]], **options, cwd=Path(__file__).parents[2])


@pytest.fixture(autouse=True)
def no_servers(monkeypatch):
    """Servers of this test alone, ended with it; the module is found beside the tests, which ``-I`` would hide."""
    made = {}
    monkeypatch.setattr(fork_server, "_servers", made)
    monkeypatch.setattr(fork_server, "child_environment", lambda: dict(os.environ))
    monkeypatch.setattr(fork_server.subprocess, "Popen", SeeingTests)
    yield
    for server in made.values():
        if server:
            server.close()


def line(process, text):
    process.stdin.write(text.encode() + b"\n")
    process.stdin.flush()
    return process.stdout.readline().decode().strip()


def ended(process):
    process.stdin.close()
    process.stdout.close()
    return process.wait(timeout=300)


def test_forks_share_what_was_imported_and_nothing_else():
    """Preloaded once; what one fork does to its memory no other sees."""
    with tempfile.TemporaryFile() as errors:
        one, two = start(MODULE, errors), start(MODULE, errors)
        assert isinstance(one, Forked)
        assert line(one, "preloads") == line(two, "preloads") == "1"
        assert line(one, "remember") == "2"
        assert line(two, "preloads") == "1"
        assert line(one, "pid") == str(one.pid) != line(two, "pid")
        assert line(one, "session") == str(one.pid)
        assert (ended(one), ended(two)) == (0, 0)


@pytest.mark.parametrize(("order", "code"), [("raise", 1), ("exit 7", 1), ("kill", -signal.SIGSEGV)])
def test_the_end_of_a_fork_is_told_with_its_code_and_last_words(order, code):
    """An exception, an exit and a crash; the next fork is not touched."""
    with tempfile.TemporaryFile() as errors:
        process = start(MODULE, errors)
        assert line(process, order) == ""
        assert process.wait(timeout=300) == code
        errors.seek(0)
        assert (b"Traceback" in errors.read()) == (order != "kill")
        again = start(MODULE, errors)
        assert line(again, "preloads") == "1"
        assert ended(process) == code
        assert ended(again) == 0


def test_a_fork_that_hangs_is_killed():
    """Waiting for it ends in time, and it can be ended."""
    with tempfile.TemporaryFile() as errors:
        process = start(MODULE, errors)
        line(process, "pid")
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.05)
        process.kill()
        assert process.wait(timeout=300) == -signal.SIGKILL


def test_forks_end_with_their_server_and_a_plain_process_follows():
    """A server that was killed takes its forks along; who needs a process still gets one."""
    with tempfile.TemporaryFile() as errors:
        process = start(MODULE, errors)
        (server,) = fork_server._servers.values()
        os.kill(server._process.pid, signal.SIGKILL)
        assert process.stdout.read() == b""
        assert process.wait(timeout=300) == -signal.SIGKILL
        process.kill()
        plain = start(MODULE, errors)
        assert isinstance(plain, subprocess.Popen)
        assert line(plain, "preloads") == "0"
        assert ended(plain) == 0


def test_a_module_that_cannot_be_forked_is_started_the_plain_way(monkeypatch):
    """It says so itself, as a torch that holds a GPU does, and is not asked a second time."""
    monkeypatch.setenv("ECHO_REFUSES", "1")
    with tempfile.TemporaryFile() as errors:
        for _ in range(2):
            process = start(MODULE, errors)
            assert isinstance(process, subprocess.Popen)
            assert ended(process) == 0
    assert list(fork_server._servers.values()) == [None]


def test_another_environment_is_another_server(monkeypatch):
    """What is set between two starts reaches the second, and the first goes on."""
    with tempfile.TemporaryFile() as errors:
        first = start(MODULE, errors)
        monkeypatch.setenv("ECHO_WORD", "new")
        second = start(MODULE, errors)
        assert line(second, "word") == "new"
        assert line(first, "word") == "none"
        assert (ended(first), ended(second)) == (0, 0)


def test_a_server_ends_with_its_owner():
    """Nothing is left behind when the process that uses it is killed."""
    code = (
        "import subprocess, sys, tempfile\n"
        "from harness.isolation import fork_server\n"
        "fork = fork_server.start('harness.targets.checkpoint.worker', tempfile.TemporaryFile())\n"
        "print(fork.pid, [s._process.pid for s in fork_server._servers.values()][0], flush=True)\n"
        "sys.stdin.read()\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    pids = [int(word) for word in owner.stdout.readline().split()]
    owner.kill()
    owner.wait()
    owner.stdin.close()
    owner.stdout.close()
    end = time.monotonic() + 300
    while time.monotonic() < end and any(running(pid) for pid in pids):
        time.sleep(0.05)
    assert not [pid for pid in pids if running(pid)]


def running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
