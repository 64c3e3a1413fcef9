"""How many requests are on their way at once, and how many leave per minute: what a host complains of, it gets less of."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_MINUTE = 60.0
#: Answers in a row without a complaint after which one more request may be on its way.
_CALM = 8
#: Seconds in which further complaints are taken for echoes of the first.
_ECHO = 5.0


@dataclass(slots=True)
class Pace:
    """At most ``most`` requests at once; halved at a 429 or 503, one more after a calm while; evenly spread over minutes.

    Load changes what batched servers answer: the default is small. ``per_minute`` requests and ``tokens_per_minute``
    tokens (of prompt and output, as reserved) are 0 for no limit.
    """

    most: int = 4
    per_minute: float = 0.0
    tokens_per_minute: float = 0.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    allowed: int = field(init=False)
    _under_way: int = 0
    _calm: int = 0
    _cut: float = -_ECHO
    _next: float = 0.0
    _waiting: deque[asyncio.Future[None]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.allowed = max(self.most, 1)

    @asynccontextmanager
    async def turn(self, tokens: int) -> AsyncIterator[None]:
        """Hold one of the places; waits until one is free and the minute has room for so many tokens."""
        if self._under_way < self.allowed and not self._waiting:
            self._under_way += 1
        else:
            await self._place()
        try:
            wait = self._booked(tokens)
            if wait > 0:
                await self.sleep(wait)
            yield
        finally:
            self._under_way -= 1
            self._admit()

    async def _place(self) -> None:
        """Wait in line for a place; whoever leaves hands it on."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # the place had just been handed over
                self._under_way -= 1
                self._admit()
            raise

    def _admit(self) -> None:
        while self._waiting and self._under_way < self.allowed:
            turn = self._waiting.popleft()
            if not turn.done():
                self._under_way += 1
                turn.set_result(None)

    def heard(self, status: int | None) -> None:
        """Learn from an answer's status; None where none came."""
        if status in {429, 503}:
            if self.clock() - self._cut >= _ECHO:
                self.allowed, self._cut = max(self.allowed // 2, 1), self.clock()
            self._calm = 0
        elif status is not None and status < 500:
            self._calm += 1
            if self._calm >= _CALM:
                self.allowed, self._calm = min(self.allowed + 1, max(self.most, 1)), 0

    def _booked(self, tokens: int) -> float:
        """Seconds until the next place in the minute, which is taken."""
        now = self.clock()
        start = max(self._next, now)
        gaps = [_MINUTE / self.per_minute] if self.per_minute else []
        gaps += [_MINUTE * tokens / self.tokens_per_minute] if self.tokens_per_minute else []
        self._next = start + max(gaps, default=0.0)
        return start - now
