"""A real ``transformers serve``: it takes many parameters without complaint, and what it ignores is seen by the effect."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from harness.comparisons.parameters import parameter_facts
from harness.prompts.trials import draw_trials
from harness.targets.endpoint.address import parse_address
from harness.targets.endpoint.client import Client
from harness.targets.endpoint.probe import State, probe
from harness.targets.endpoint.trials import try_all

_START = 900.0


@pytest.fixture(scope="module")
def served(smollm, tmp_path_factory):
    """The address of a server with the reference's own folder, on one thread."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).parent / "transformers"), "serve", str(smollm), "--host", "127.0.0.1",
               "--port", str(port), "--device", "cpu", "--dtype", "float32"]  # fmt: skip
    env = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    log = tmp_path_factory.mktemp("serve") / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=env)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        until = time.monotonic() + _START
        while True:
            try:
                opener.open(f"http://127.0.0.1:{port}/health", timeout=2).close()
                break
            except (urllib.error.URLError, OSError):
                if process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(log.read_text()) from None
                time.sleep(0.3)
        yield f"http://127.0.0.1:{port}/v1#{smollm}"
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.slow
def test_what_it_takes_and_ignores_is_told(served):
    """Log-probabilities, several choices, stop strings: a success status, and nothing of it; unknown fields are refused."""
    with Client(parse_address(served)) as client:
        profile = probe(client)
    for name in ("logprobs", "n", "stop", "JSON mode"):
        assert profile.state(name) is State.IGNORED, name
    for name in ("chat", "usage", "max_tokens", "stream", "unknown fields refused"):
        assert profile.state(name) is State.YES, name
    assert profile.state("token ids") is State.NO


@pytest.mark.slow
def test_its_sampling_is_judged_by_what_it_does(served):
    """Whatever a version does with a temperature, replies say it; a penalty that is dropped is not called honoured."""
    names = {"greedy", "sampled", "plain", "presence"}
    with Client(parse_address(served)) as client:
        facts = parameter_facts(
            try_all(client, [one for one in draw_trials(4096, thorough=False) if one.name in names])
        )
    found = {row.name: row for row in facts.rows}
    assert found["repeats at temperature 0"].state is State.YES
    assert (found["temperature"].state is State.IGNORED) == bool(facts.stuck)
    assert found["presence_penalty"].state is not State.YES
