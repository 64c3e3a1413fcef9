"""A real llama.cpp server on this machine, in a process of its own: known hosts for demonstrations, controls and tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from harness.errors import MissingExtra, TargetRefused
from harness.processors import threads_for, waiting_passively

_START = 120.0  # seconds


@contextmanager
def local_host(gguf: Path, template: str = "", context: int = 4096, kv: str = "") -> Iterator[str]:
    """Serve a GGUF file on 127.0.0.1, its template replaced and its keys and values stored as ``kv`` where given.

    One slot, on a port of its own choice; yields the address. Prompts are read by as many threads as there are processors to
    use, replies written by one: token by token, threads would mostly wait for each other. The process ends with the block.
    """
    if find_spec("xllamacpp") is None:
        raise MissingExtra("a local llama.cpp server needs xllamacpp", fix='pip install "fidelity-harness[hosts]"')
    settings = {"gguf": str(gguf), "template": template, "context": context, "kv": kv, "threads": threads_for()}
    process = subprocess.Popen(
        [sys.executable, "-I", "-m", __name__],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env=waiting_passively(os.environ),
    )  # fmt: skip
    assert process.stdin and process.stdout
    try:
        process.stdin.write(json.dumps(settings) + "\n")
        process.stdin.flush()
        address = process.stdout.readline().strip()
        if not address:
            raise TargetRefused("the local llama.cpp server did not start", where=str(gguf))
        yield address
    finally:
        process.stdin.close()  # the server ends when nobody holds the other end
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _serve() -> None:
    """Serve what standard input's first line says until it closes."""
    import xllamacpp  # noqa: PLC0415 - an extra

    asked = json.loads(sys.stdin.readline())
    settings = xllamacpp.CommonParams()
    settings.model.path = asked["gguf"]
    settings.hostnames = ["127.0.0.1"]
    settings.port = 0
    settings.n_ctx = asked["context"]
    settings.n_parallel = 1
    settings.cpuparams.n_threads, settings.cpuparams_batch.n_threads = 1, asked["threads"]
    settings.warmup = False
    if asked["kv"]:
        settings.cache_type_k = settings.cache_type_v = getattr(xllamacpp.ggml_type, f"GGML_TYPE_{asked['kv']}")
    if asked["template"]:
        settings.chat_template = asked["template"]
    server = xllamacpp.Server(settings)
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    while sys.stdin.readline():
        time.sleep(0.1)


if __name__ == "__main__":
    _serve()
