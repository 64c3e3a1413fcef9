"""Run a comparison behind a display, with Ctrl-C handled, and print its result."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

from harness.cli.display import Display, follow
from harness.config import Places
from harness.observations.events import Stop
from harness.pipeline import Request, compare
from harness.reports.console import print_scorecard
from harness.reports.scorecard import Scorecard


@contextlib.contextmanager
def stoppable() -> Iterator[Stop]:
    """A flag that the first Ctrl-C raises, so that the step in flight is finished; the second stops at once."""
    stop = Stop()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.wanted:
            raise KeyboardInterrupt
        stop.wanted = True

    previous = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def execute(request: Request, places: Places, display: Display, *, quiet: bool = False) -> Scorecard:
    """Run, show progress, print the scorecard."""
    with stoppable() as stop, display:
        scorecard = follow(compare(request, places, stop), display)
    if not quiet:
        print_scorecard(scorecard, places.results / scorecard.run)
    return scorecard
