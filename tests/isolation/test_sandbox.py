"""The box around a checkpoint, looked at from outside."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.errors import WorkerDied
from harness.isolation.sandbox import child_environment
from harness.targets.checkpoint.target import WorkerProcess


def test_secrets_do_not_reach_the_child(monkeypatch):
    """Tokens, keys and proxies of the user are not in its environment; hub access is switched off."""
    monkeypatch.setenv("HF_TOKEN", "canary-token")
    monkeypatch.setenv("OPENAI_API_KEY", "canary-key")
    monkeypatch.setenv("HTTPS_PROXY", "http://user:canary@proxy")
    environment = child_environment()
    assert not [value for value in environment.values() if "canary" in value]
    assert environment["HF_HUB_OFFLINE"] == "1"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="namespaces are a Linux thing")
def test_the_child_reports_what_was_achieved_and_holds_no_canary(monkeypatch):
    """The running process: canary absent from its environment, core dumps off, and the state of the network told."""
    monkeypatch.setenv("HF_TOKEN", "canary-token")
    process = WorkerProcess()
    try:
        answer, _ = process.ask("hello")
        raw = Path(f"/proc/{process.pid}/environ").read_bytes()
        limits = Path(f"/proc/{process.pid}/limits").read_text()
        network = Path(f"/proc/{process.pid}/net/dev").read_text()
    finally:
        process.close()
    assert b"canary" not in raw
    assert "Max core file size        0" in limits
    if answer["isolation"]["network"].startswith("cut off"):
        assert {line.split(":")[0].strip() for line in network.splitlines()[2:]} <= {"lo", "sit0", "tunl0", "ip6tnl0"}


def test_an_unknown_request_ends_the_process_and_says_so():
    """Nothing but the listed requests is understood; the end of the process is an error, not a hang."""
    process = WorkerProcess()
    try:
        with pytest.raises(WorkerDied, match="ended during 'eval'"):
            process.ask("eval")
    finally:
        process.close()
