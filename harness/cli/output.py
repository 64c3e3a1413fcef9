"""Where a rendering goes: a file, or standard output."""

from __future__ import annotations

import sys
from pathlib import Path

from harness.errors import UsageError


def emit(data: bytes, output: Path | None) -> None:
    """Write a rendering to ``output``, or print it. Raises UsageError where the file cannot be written."""
    if output is None:
        sys.stdout.buffer.write(data if data.endswith(b"\n") else data + b"\n")
        sys.stdout.buffer.flush()
        return
    try:
        output.write_bytes(data)
    except OSError as problem:
        raise UsageError(
            f"the file cannot be written: {problem.strerror}",
            where=str(output),
            fix="give -o a path in a folder of yours",
        ) from problem
