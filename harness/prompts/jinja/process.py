"""Renders templates in a child process that can be ended: a template that hangs or swells is an outcome, not a hang."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from pydantic import JsonValue

from harness.errors import WorkerDied
from harness.isolation.sandbox import child_environment
from harness.isolation.wire import Body, receive, send
from harness.prompts.conversation import REFERENCE_DIALECT, Conversation, Coverage, Dialect, Exploration, Rendered

#: Seconds of the processor that one conversation may take in the child, and how many more a step without end is given.
SECONDS = 2.0
_GRACE = 1.0
_ASLEEP = 600.0  # seconds of the clock after which a child that computes nothing is given up
_LOOK = 0.25  # how often the child's own time is read
_TOKENIZER_SECONDS = 20.0
#: Seconds in which requests are searched that show what a template decides and another does not.
EXPLORING = 10.0
_PATIENCE = 3  # processes that one template may cost

#: A text as pieces; a plain piece has no control tokens in it, whatever it says.
Pieces = list[tuple[str, bool]]

RENDERER = "transformers 5 rules on jinja2"


def renderer_version() -> str:
    """The renderer's name and version, as reports state it."""
    return f"{RENDERER} {importlib.metadata.version('jinja2')}"


class PromptProcess:
    """Renders templates and tokenises prompts; one child process at a time, started when first needed."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None

    def render(
        self,
        template: str,
        conversations: Sequence[Conversation],
        variables: dict[str, JsonValue] | None = None,
        dialect: Dialect = REFERENCE_DIALECT,
    ) -> list[Rendered]:
        """Outcomes in the order of the conversations; ``variables`` are the special tokens that templates name."""
        outcomes: list[Rendered] = []
        ended = 0
        while len(outcomes) < len(conversations):
            if ended == _PATIENCE:
                rest = len(conversations) - len(outcomes)
                return outcomes + [Rendered(outcome="unbounded", problem="its process had to be ended before")] * rest
            body: Body = {
                "template": template,
                "variables": variables or {},
                "dialect": dialect.model_dump(mode="json"),
                "conversations": [c.model_dump(mode="json") for c in conversations[len(outcomes) :]],
                "seconds": self._seconds,
            }
            answers = self._answers(body, len(conversations) - len(outcomes))
            outcomes += answers
            ended += len(outcomes) < len(conversations) or self._process is None
        return outcomes

    def run_encoder(self, encoder: str, file: Path, conversations: Sequence[Conversation]) -> list[Rendered]:
        """Texts and ids by an installed encoder on its file, in the order of the conversations."""
        body: Body = {
            "encoder": encoder,
            "file": str(file),
            "conversations": [c.model_dump(mode="json") for c in conversations],
            "seconds": self._seconds,
            "loading": _TOKENIZER_SECONDS,
        }
        answers = self._exchange(body, len(conversations), _TOKENIZER_SECONDS)
        silenced = Rendered(outcome="unbounded", problem="the encoder's process had to be ended")
        found = [silenced if answer is None else Rendered.model_validate(answer) for answer in answers]
        return [*found, *[silenced] * (len(conversations) - len(found))]

    def cover(
        self, template: str, conversations: Sequence[Conversation], variables: dict[str, JsonValue] | None = None
    ) -> Coverage:
        """Which branches of a template none of the conversations enters."""
        body: Body = {
            "coverage": True,
            "template": template,
            "variables": variables or {},
            "conversations": [c.model_dump(mode="json") for c in conversations],
            "seconds": self._seconds,
        }
        (answer,) = self._exchange(body, 1, self._seconds * (1 + len(conversations)))
        return Coverage() if answer is None else Coverage.model_validate(answer)

    def explore(
        self,
        template: str,
        other: str,
        conversations: Sequence[Conversation],
        variables: dict[str, JsonValue] | None = None,
        seconds: float = EXPLORING,
    ) -> Exploration:
        """Requests on which ``template`` shows what it decides and ``other`` does not, and what nothing showed."""
        body: Body = {
            "explore": template,
            "other": other,
            "variables": variables or {},
            "conversations": [c.model_dump(mode="json") for c in conversations],
            "seconds": seconds,
        }
        (answer,) = self._exchange(body, 1, seconds)
        if answer is None:  # once more in a fresh process, which holds nothing of what was asked before
            (answer,) = self._exchange(body, 1, seconds)
        if answer is None:
            return Exploration(problem="its process had to be ended")
        return Exploration.model_validate(answer)

    def encode(
        self, tokenizer: Path, texts: Sequence[Pieces], *, normalized: bool = True, special: bool = False
    ) -> list[tuple[int, ...] | None]:
        """Ids of texts by a ``tokenizer.json``; None where it fails. Each text is a list of (piece, plain) pairs.

        Without ``normalized`` letters are neither composed nor decomposed, whatever the file says; with ``special`` the
        tokenizer puts the tokens around a text that it puts around plain documents. Truncation and padding are off.
        """
        body: Body = {
            "tokenizer": str(tokenizer),
            "normalized": normalized,
            "special": special,
            "texts": [[list(piece) for piece in pieces] for pieces in texts],
            "seconds": _TOKENIZER_SECONDS,
        }
        answers = self._exchange(body, len(texts), _TOKENIZER_SECONDS)
        found = [tuple(answer["ids"]) if answer and "ids" in answer else None for answer in answers]  # type: ignore[arg-type]
        return [*found, *[None] * (len(texts) - len(found))]  # type: ignore[list-item]

    def decode(self, tokenizer: Path, lists: Sequence[Sequence[int]]) -> list[tuple[str, str] | None]:
        """Texts of lists of ids, with special tokens and without; None where it fails."""
        body: Body = {"decode": str(tokenizer), "ids": [list(ids) for ids in lists], "seconds": _TOKENIZER_SECONDS}
        answers = self._exchange(body, len(lists), _TOKENIZER_SECONDS)
        found = [tuple(answer["texts"]) if answer and "texts" in answer else None for answer in answers]  # type: ignore[arg-type]
        return [*found, *[None] * (len(lists) - len(found))]  # type: ignore[list-item]

    def _answers(self, body: Body, count: int) -> list[Rendered]:
        """Outcomes until the child fell silent; the one that silenced it is the last."""
        silenced = Rendered(outcome="unbounded", problem="the template's process had to be ended")
        answers = self._exchange(body, count, self._seconds)
        return [silenced if answer is None else Rendered.model_validate(answer) for answer in answers]

    def _exchange(self, body: Body, count: int, seconds: float) -> list[Body | None]:
        """Answers in order; None is the last if the child had to be ended."""
        process = self._process = self._process or _start()
        assert process.stdin is not None
        assert process.stdout is not None
        answers: list[Body | None] = []
        try:
            send(process.stdin, body)  # type: ignore[arg-type]
            for _ in range(count):
                answer, _ = receive(_Timed(process.stdout.fileno(), process.pid, 2 * seconds + _GRACE))  # type: ignore[arg-type]
                answers.append(answer)
        except (BrokenPipeError, WorkerDied, TimeoutError):
            self._kill()
            answers.append(None)
        return answers

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    if stream:
                        stream.close()

    def close(self) -> None:
        """End the child process."""
        self._kill()

    def __enter__(self) -> PromptProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Timed:
    """Reads whole frames from a pipe, but waits no longer than agreed: by the processor's time that the child has used."""

    def __init__(self, handle: int, pid: int, seconds: float) -> None:
        self._handle = handle
        self._pid = pid
        self._seconds = seconds
        self._used = _processor_seconds(pid)
        self._begun = time.monotonic()

    def _overdue(self) -> bool:
        used, waited = _processor_seconds(self._pid), time.monotonic() - self._begun
        if used is None or self._used is None:  # the system does not tell; the clock has to do
            return waited > self._seconds
        return used - self._used > self._seconds or waited > _ASLEEP + self._seconds

    def read(self, count: int) -> bytes:
        """Exactly ``count`` bytes, fewer only at the end; raises TimeoutError."""
        data = b""
        while len(data) < count:
            ready, _, _ = select.select([self._handle], [], [], _LOOK)
            if not ready and self._overdue():
                raise TimeoutError
            if not ready:
                continue
            part = os.read(self._handle, count - len(data))
            if not part:
                break
            data += part
        return data


def _processor_seconds(pid: int) -> float | None:
    """What a process has computed so far; None where the system has no such file."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", "-m", "harness.prompts.jinja.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
        stderr=subprocess.DEVNULL,
        env=child_environment(),
        start_new_session=True,
    )
