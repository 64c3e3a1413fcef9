"""``fidelity doctor``: what is installed, which checks can run, what is missing and how to get it."""

from __future__ import annotations

import os
import platform
import sqlite3
from importlib import metadata

import click

from harness.config import Places, writable
from harness.errors import StorageError
from harness.processors import threads_for

_PARTS = (
    ("torch", "torch", "local checkpoints", "local"),
    ("transformers", "transformers", "local checkpoints", "local"),
    ("accelerate", "accelerate", "quantized checkpoints", "local"),
    ("safetensors", "safetensors", "local checkpoints", "local"),
    ("bitsandbytes", "bitsandbytes", "bnb:int8, bnb:nf4, bnb:fp4", "bitsandbytes"),
    ("gguf", "gguf", "gguf:FILE and ggufq:TYPE, the demo", "gguf"),
    ("xllamacpp", "xllamacpp", "local llama.cpp servers: fidelity demo --hosts; K- and IQ-types", "hosts"),
    ("gptqmodel", "gptqmodel", "GPTQ kernels (gptq:PATH works without)", "gptq"),
    ("lm-eval", "lm_eval", "tasks: does anybody get worse answers?", "lm-eval"),
)
_SQLITE_FIXED = (3, 51, 3)


@click.command("doctor")
def command() -> int:
    """Say what is installed, which checks can run here, and how to get the rest."""
    click.echo(
        f"python {platform.python_version()} on {platform.system()} {platform.machine()}, {os.cpu_count()} cores"
        f" (computing on {threads_for()} threads)"
    )
    for name, _, purpose, extra in _PARTS:
        try:
            click.echo(f"  {name:<14} {metadata.version(name):<14} {purpose}")
        except metadata.PackageNotFoundError:
            click.echo(f"  {name:<14} {'missing':<14} {purpose}: pip install 'fidelity-harness[{extra}]'")
    version = tuple(int(part) for part in sqlite3.sqlite_version.split("."))
    known = "" if version >= _SQLITE_FIXED else " (has the WAL-reset bug; harmless here, one process writes a run)"
    click.echo(f"  {'sqlite':<14} {sqlite3.sqlite_version:<14} the journal of a run{known}")
    places = Places.default()
    problems = 0
    for purpose, folder in (("results", places.results), ("cache", places.cache)):
        try:
            writable(folder, purpose)
            click.echo(f"  {purpose:<14} {folder}")
        except StorageError as error:
            problems += 1
            click.echo(f"  {purpose:<14} {error.problem}: {error.where}; {error.fix}")
    return 4 if problems else 0
