"""What an audit asked and what came back, one SQLite file: a row per attempt before it leaves, raw bytes before they are read."""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path
from typing import Any, Self

import zstandard

from harness.observations.journal import storage
from harness.targets.endpoint.budget import Spent
from harness.targets.endpoint.replies import Reply, read_reply
from harness.targets.endpoint.transport import Answer
from harness.targets.endpoint.ways import way_of

_SCHEMA = """
CREATE TABLE IF NOT EXISTS attempts (
    id INTEGER PRIMARY KEY, item TEXT NOT NULL, started REAL NOT NULL, finished REAL, request BLOB NOT NULL,
    prompt INTEGER NOT NULL, output INTEGER NOT NULL,
    status INTEGER, headers TEXT, answer BLOB, problem TEXT NOT NULL DEFAULT '') STRICT;
CREATE TABLE IF NOT EXISTS replies (number INTEGER PRIMARY KEY, reply TEXT NOT NULL) STRICT;  -- lost ones alone
"""
#: Headers that are kept: what tells which engine, cache or route answered, and nothing about the account.
_KEPT = ("content-type", "date", "server", "retry-after", "x-cache", "cf-cache-status", "x-request-id", "via", "age")
_MOST = 64 << 20
_LONGEST = 600.0  # seconds of one attempt: no attempt takes longer, but clocks are set while it runs


class Asked:
    """The file of one audit, open for writing; it is also the client's ``AttemptLog``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pack, self._unpack = zstandard.ZstdCompressor(level=1), zstandard.ZstdDecompressor()
        with storage(path.parent):
            self._file = sqlite3.connect(path, isolation_level=None)
            # the process may be killed at any moment and nothing is lost; a power cut may cost the last rows
            self._file.execute("PRAGMA journal_mode=WAL")
            self._file.execute("PRAGMA synchronous=NORMAL")
            self._file.execute("PRAGMA wal_autocheckpoint=8192")
            self._file.execute("PRAGMA locking_mode=EXCLUSIVE")  # the folder is one process's alone: no locks per row
            self._file.executescript(_SCHEMA)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def sent(self, item: str, content: bytes, reserved: tuple[int, int]) -> int:
        """Note an attempt that is about to leave."""
        with storage(self.path.parent):
            found = self._file.execute(
                "INSERT INTO attempts (item, started, request, prompt, output) VALUES (?, ?, ?, ?, ?)",
                (item, time.time(), content, *reserved),
            )
        return int(found.lastrowid or 0)

    def ended(self, attempt: int, answer: Answer | None, problem: str, billed: tuple[int | None, int | None]) -> None:
        """Note what became of it: status, a few headers, and the whole body as it came."""
        status = headers = body = None
        if answer:
            status, body = answer.status, self._pack.compress(answer.body)
            headers = json.dumps({name: answer.headers[name] for name in _KEPT if name in answer.headers})
        with storage(self.path.parent):
            self._file.execute(
                "UPDATE attempts SET finished = ?, status = ?, headers = ?, answer = ?, problem = ?, "
                "prompt = coalesce(?, prompt), output = coalesce(?, output) WHERE id = ?",
                (time.time(), status, headers, body, problem, *billed, attempt),
            )

    def keep_reply(self, number: int, reply: Reply) -> None:
        """Store that a question has no reply, and why; replies that came are in their attempts already."""
        if reply.lost:
            with storage(self.path.parent):
                self._file.execute("INSERT OR IGNORE INTO replies VALUES (?, ?)", (number, reply.model_dump_json()))

    def replies(self) -> dict[int, Reply]:
        """Replies so far, by the number of their question; a question that has one is never asked again.

        They are read from the raw answers, also from those that came whole right before the process ended: asking again would
        draw anew. The first answer counts.
        """
        lost = self._file.execute("SELECT number, reply FROM replies")
        found = {number: Reply.model_validate_json(text) for number, text in lost}
        rows = self._file.execute(
            "SELECT item, request, headers, answer FROM attempts WHERE item LIKE 'reply-%' AND status BETWEEN 200 AND 299 "
            "ORDER BY id"
        )
        for item, request, headers, answer in rows:
            number = int(item.removeprefix("reply-"))
            if number not in found:
                came = Answer(200, json.loads(headers or "{}"), self._unpacked(answer), 0.0)
                body = json.loads(request)
                known = {"way": way_of(body), "wanted": str(body.get("model") or "")}
                found[number] = read_reply(came).model_copy(update=known)
        return dict(sorted(found.items()))

    def _unpacked(self, blob: bytes) -> bytes:
        return self._unpack.decompress(blob, max_output_size=_MOST)

    def answers_of(self, item: str) -> list[tuple[dict[str, Any], Answer]]:
        """All answers to an item that are some, with the bodies of their requests."""
        rows = self._file.execute(
            "SELECT request, headers, answer FROM attempts WHERE item = ? AND status BETWEEN 200 AND 299 ORDER BY id",
            (item,),
        )
        return [
            (json.loads(request), Answer(200, json.loads(headers or "{}"), self._unpacked(answer), 0.0))
            for request, headers, answer in rows
        ]

    def request_of(self, item: str) -> bytes:
        """The body of an item's last attempt; empty if there was none."""
        row = self._file.execute("SELECT request FROM attempts WHERE item = ? ORDER BY id DESC", (item,)).fetchone()
        return bytes(row[0]) if row else b""

    def spent(self) -> Spent:
        """What all attempts have used; seconds are those in which a request was on its way."""
        rows = self._file.execute(
            "SELECT started, coalesce(finished, started), prompt, output FROM attempts ORDER BY started"
        )
        requests = prompt = output = 0
        seconds, until = 0.0, 0.0
        for started, finished, asked, written in rows:
            requests, prompt, output = requests + 1, prompt + asked, output + written
            seconds += min(max(finished - max(started, until), 0.0), _LONGEST)
            until = max(until, finished) if finished - started < _LONGEST else until
        return Spent(requests=requests, prompt=prompt, tokens=output, seconds=seconds)
