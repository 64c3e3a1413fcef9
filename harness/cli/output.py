"""Where a rendering goes: a file, or standard output."""

from __future__ import annotations

from pathlib import Path

import click


def emit(data: bytes, output: Path | None) -> None:
    """Write a rendering to ``output``, or print it."""
    if output:
        output.write_bytes(data)
    else:
        click.echo(data.decode())
