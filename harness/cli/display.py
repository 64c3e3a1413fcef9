"""Consumers of run events: a live display for terminals, plain lines for everything else. Both write to stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator
from types import TracebackType
from typing import Protocol, TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from harness.observations.events import (
    Event,
    Found,
    Noticed,
    PlanReady,
    StageStarted,
    TargetFinished,
    TargetStarted,
    TokensScored,
)
from harness.redact import safe_line

_QUIET_S = 10.0


class Display(Protocol):
    """Something that shows events."""

    def show(self, event: Event) -> None:
        """Take note of an event."""
        ...

    def __enter__(self) -> Display: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None: ...


Result = TypeVar("Result")


def follow(steps: Generator[Event, None, Result], display: Display) -> Result:
    """Show every event of a run as it comes; returns what the run returns."""
    while True:
        try:
            display.show(next(steps))
        except StopIteration as end:
            result: Result = end.value
            return result


def make_display(choice: str) -> Display:
    """``rich`` in a terminal, ``plain`` elsewhere, ``none`` on request; ``auto`` decides."""
    if choice == "none":
        return Silent()
    if choice == "rich" or (choice == "auto" and sys.stderr.isatty()):
        return Live()
    return Plain()


class Silent:
    """Shows nothing."""

    def show(self, event: Event) -> None:
        """Ignore the event."""

    def __enter__(self) -> Silent:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Plain(Silent):
    """One line per stage and target, and at most one every ten seconds in between."""

    def __init__(self) -> None:
        self._done = 0
        self._total = 0
        self._last = time.monotonic()

    def show(self, event: Event) -> None:
        """Print a line where there is something to say."""
        if isinstance(event, TargetStarted):
            self._done, self._total = 0, event.tokens
        if isinstance(event, TokensScored):
            self._done += event.tokens
            if time.monotonic() - self._last < _QUIET_S:
                return
        line = describe(event, self._done, self._total)
        if line:
            print(line, file=sys.stderr, flush=True)  # noqa: T201 - this is the display
            self._last = time.monotonic()


class Live(Silent):
    """A bar over all scored tokens with a spinner that keeps turning while a model loads."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[state]}", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
        )
        self._task: TaskID | None = None
        self._label = ""

    def __enter__(self) -> Live:
        self._progress.start()
        self._task = self._progress.add_task("starting", total=None, state="")
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, event: Event) -> None:
        """Move the bar; stages and results scroll above it."""
        assert self._task is not None
        if isinstance(event, StageStarted):
            self._progress.update(self._task, description=safe_line(event.detail, 60), state="")
        elif isinstance(event, PlanReady):
            self._progress.update(self._task, total=event.passes, completed=0)
            self._progress.console.print(describe(event, 0, 0), markup=False, highlight=False)
        elif isinstance(event, TargetStarted):
            self._label = safe_line(event.label, 40)
            self._progress.update(self._task, description=self._label, state=f"loading ({event.role})")
        elif isinstance(event, TokensScored):
            self._progress.update(self._task, advance=event.tokens, state="scoring")
        elif isinstance(event, TargetFinished | Noticed | Found):
            self._progress.console.print(describe(event, 0, 0), markup=False, highlight=False)


def describe(event: Event, done: int, total: int) -> str:
    """One line about an event."""
    match event:
        case StageStarted(stage, detail):
            return f"[{stage}] {safe_line(detail)}"
        case PlanReady(run, targets, tokens, documents, _, resumed, unit, whole):
            how = "resuming" if resumed else "run"
            return f"[plan] {how} {run}: {tokens:,} {unit} of {documents} {whole}, {targets} targets"
        case TargetStarted(label, role, tokens, unit):
            return f"[{role}] {safe_line(label)}: {tokens:,} {unit}"
        case TokensScored(label, _):
            return f"  {safe_line(label)}: {done:,} of {total:,}"
        case TargetFinished(label, seconds):
            return f"  {safe_line(label)} done in {seconds:.1f} s"
        case Noticed(text):
            return f"  note: {safe_line(text)}"
        case Found(label, text):
            return f"[so far] {safe_line(label)}: {safe_line(text)}"
