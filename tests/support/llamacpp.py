"""A real llama.cpp server in this process, on one thread and a port of its own choice."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import xllamacpp


@contextmanager
def llamacpp_server(gguf: Path, template: str = "", context: int = 4096, kv: str = "") -> Iterator[str]:
    """Serve a GGUF file, its template replaced and its keys and values stored as ``kv`` where given; yields the address."""
    settings = xllamacpp.CommonParams()
    settings.model.path = str(gguf)
    settings.hostnames = ["127.0.0.1"]
    settings.port = 0
    settings.n_ctx = context
    settings.n_parallel = 1
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1
    settings.warmup = False
    if kv:
        settings.cache_type_k = settings.cache_type_v = getattr(xllamacpp.ggml_type, f"GGML_TYPE_{kv}")
    if template:
        settings.chat_template = template
    server = xllamacpp.Server(settings)
    try:
        yield server.listening_address
    finally:
        del server
        gc.collect()  # the server stops when nothing refers to it
