"""A module for the fork server to serve: it answers lines about itself."""

from __future__ import annotations

import os
import signal
import sys

preloads: list[int] = []


def preload() -> bool:
    """Count that it was called, unless it is to refuse."""
    preloads.append(os.getpid())
    return "ECHO_REFUSES" not in os.environ


def main() -> None:
    """Answer until standard input ends."""
    for line in sys.stdin:
        order = line.strip()
        if order == "raise":
            raise ValueError("as it was told")
        if order.startswith("exit"):
            raise SystemExit(int(order.split()[1]))
        if order == "kill":
            os.kill(os.getpid(), signal.SIGSEGV)
        if order == "remember":
            preloads.append(os.getpid())
        answers = {"pid": os.getpid(), "session": os.getsid(0), "word": os.environ.get("ECHO_WORD", "none")}
        print(answers.get(order, len(preloads)), flush=True)


if __name__ == "__main__":
    main()
