"""Run a comparison behind a display, with Ctrl-C handled, and print its result."""

from __future__ import annotations

import signal
from types import FrameType

from harness.cli.display import Display
from harness.config import Places
from harness.pipeline import Request, Stop, compare
from harness.reports.console import print_scorecard
from harness.reports.scorecard import Scorecard


def execute(request: Request, places: Places, display: Display, *, quiet: bool = False) -> Scorecard:
    """Run, show progress, print the scorecard.

    The first Ctrl-C finishes the batch in flight, the second stops at once.
    """
    stop = Stop()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.wanted:
            raise KeyboardInterrupt
        stop.wanted = True

    previous = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with display:
            steps = compare(request, places, stop)
            while True:
                try:
                    display.show(next(steps))
                except StopIteration as end:
                    scorecard: Scorecard = end.value
                    break
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    if not quiet:
        print_scorecard(scorecard, places.results / scorecard.run)
    return scorecard
