"""The ``fidelity`` command in this process: exit codes and output as at a prompt, without a new import of torch per call."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from collections.abc import Mapping
from unittest.mock import patch

from harness.cli.main import main


def command(*args: object, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run it; ``env`` is laid over the environment. What a process of its own must show (signals) is not for this."""
    out, err = io.StringIO(), io.StringIO()
    words = ["fidelity", *map(str, args)]
    with (
        patch.object(sys, "argv", words), patch.dict("os.environ", env or {}),
        contextlib.redirect_stdout(out), contextlib.redirect_stderr(err),
    ):  # fmt: skip
        try:
            main()
        except SystemExit as end:
            code = end.code
    return subprocess.CompletedProcess(words, int(code or 0), out.getvalue(), err.getvalue())
