"""Requests to one endpoint with their attempts: paced, within a budget, logged before they leave."""

from __future__ import annotations

import asyncio
import datetime
import json
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar

import httpx2

from harness.errors import BudgetSpent, EndpointRefused, EndpointUnreachable
from harness.redact import safe_line
from harness.targets.endpoint.address import Address
from harness.targets.endpoint.budget import Budget
from harness.targets.endpoint.pace import Pace
from harness.targets.endpoint.retry import AGAIN, BEFORE_WRITING, wait_before_retry
from harness.targets.endpoint.transport import Answer, Transport

__all__ = ["Answer", "AttemptLog", "Client", "Limits"]

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds for one attempt, for a request with all its attempts, for all requests; bytes of one answer, unpacked."""

    attempt: float = 60.0
    request: float = 120.0
    session: float = 1800.0
    size: int = 16 << 20


class AttemptLog(Protocol):
    """Where attempts are written down."""

    def sent(self, item: str, content: bytes, reserved: tuple[int, int]) -> int:
        """Note an attempt that is about to leave, with the tokens of prompt and output reserved; returns its number."""

    def ended(self, attempt: int, answer: Answer | None, problem: str, billed: tuple[int | None, int | None]) -> None:
        """Note what became of it, and the tokens that it bills."""


@dataclass
class Client:
    """Asks one endpoint. ``sent`` counts attempts, so that budgets hold whatever the host answers.

    Every attempt has an absolute deadline: a host that drips bytes meets it, too.
    """

    address: Address
    limits: Limits = field(default_factory=Limits)
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    jitter: Callable[[], float] = random.random
    pace: Pace = field(default_factory=Pace)
    budget: Budget = field(default_factory=Budget)
    log: AttemptLog | None = None
    sent: int = 0

    def __post_init__(self) -> None:
        self._runner = asyncio.Runner()
        self._until = time.monotonic() + self.limits.session
        self._transport = Transport(self.address, self.limits.attempt, self.limits.size, self.pace.most)

    def get(self, path: str) -> Answer:
        """Ask for one of the engine's own pages; ``path`` is relative to the root beside ``/v1``."""
        return self._runner.run(self._ask("GET", self.address.root + path, None))

    def post(self, path: str, body: Mapping[str, object]) -> Answer:
        """Send JSON to one of the engine's own paths."""
        return self._runner.run(self._ask("POST", self.address.root + path, body))

    def chat(self, body: Mapping[str, object], item: str = "") -> Answer:
        """Send a chat request to the OpenAI path."""
        return self._runner.run(self.ask(body, item))

    async def ask(
        self, body: Mapping[str, object], item: str = "", *, drawn: bool = False, path: str = "/chat/completions"
    ) -> Answer:
        """Send a request to an OpenAI path; ``item`` is the name under which its attempts are logged.

        ``drawn`` for replies that are evidence: a second draw after a slow or broken first would favour short replies, so
        the request is sent again only where nothing can have been written yet.
        """
        whole = {**body, **self.address.extras.body}
        return await self._ask("POST", self.address.base + path, whole, item, drawn=drawn)

    def together(self, jobs: Sequence[Callable[[], Awaitable[Result]]]) -> Iterator[tuple[int, Result]]:
        """Run jobs that ask, as many at once as the pace allows; yields number and result as they end.

        An error of a job ends all of them.
        """
        return self._runner.run(_started(jobs)).results(self._runner)

    def close(self) -> None:
        """Close connections."""
        self._runner.run(self._transport.close())
        self._runner.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _ask(
        self, method: str, url: str, body: Mapping[str, object] | None, item: str = "", *, drawn: bool = False
    ) -> Answer:
        """One request with all its attempts; an answer of any status, or EndpointUnreachable."""
        until, attempt = time.monotonic() + self.limits.request, 0
        if time.monotonic() >= self._until:
            raise EndpointUnreachable(
                f"the endpoint is too slow: {self.sent} requests took more than {self.limits.session / 60:.0f} minutes",
                where=self.address.shown,
                fix="try again when it is less busy, or ask for less",
            )
        content = None if body is None else json.dumps(body, ensure_ascii=True).encode()
        reserved = (len(content or b"") // 4, _asked_for(body))
        while True:
            attempt += 1
            async with self.pace.turn(sum(reserved)):
                if attempt == 1:
                    until = time.monotonic() + self.limits.request  # waiting for one's turn is not the host's fault
                try:
                    answer, problem, final = await self._attempt(
                        method, url, content, item, reserved, until, drawn=drawn
                    )
                except BudgetSpent as error:
                    if attempt == 1:
                        raise
                    raise EndpointUnreachable(
                        f"the endpoint put the request off until the budget ended ({attempt - 1} attempts)",
                        where=self.address.shown,
                        fix="allow more time, or fewer requests at once",
                    ) from error
            wait = None
            if not final and (answer is None or not answer.ok):
                status, header = (answer.status, answer.headers.get("retry-after", "")) if answer else (None, "")
                now = datetime.datetime.now(datetime.UTC)
                left, again = until - time.monotonic(), BEFORE_WRITING if drawn else AGAIN
                wait = wait_before_retry(status, header, attempt, left, self.jitter(), now, again)
            if wait is not None:
                await self.sleep(wait)
            elif answer is not None:
                return self._permitted(answer)
            else:
                raise EndpointUnreachable(
                    f"the endpoint did not answer ({attempt} attempts; last: {problem})",
                    where=self.address.shown,
                    fix="check the address, and whether the server is up and reachable from here",
                )

    async def _attempt(
        self, method: str, url: str, content: bytes | None, item: str, reserved: tuple[int, int], until: float, *,
        drawn: bool,
    ) -> tuple[Answer | None, str, bool]:  # fmt: skip
        """One attempt: its answer or its problem, and whether it must stay the last."""
        self.budget.reserve(*reserved)
        self.sent += 1
        number = self.log.sent(item, content or b"", reserved) if self.log else 0
        answer, problem, final = None, "", False
        try:
            async with asyncio.timeout(min(self.limits.attempt, max(until - time.monotonic(), 0.001))):
                answer = await self._transport.send(method, url, content)
        except TimeoutError:
            problem, final = f"no whole answer within {self.limits.attempt:.0f} s", drawn
        except (httpx2.HTTPError, OSError) as error:
            problem = safe_line(self._transport.without_key(f"{type(error).__name__}: {error}".encode()).decode())
            final = drawn and not isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout))
        except EndpointRefused as error:
            problem = error.problem
            raise
        except BaseException:
            problem = "interrupted"
            raise
        finally:
            if self.log:
                self.log.ended(number, answer, problem, _billed(answer))
        self.pace.heard(answer.status if answer else None)
        self.budget.settle(reserved, _billed(answer))
        return answer, problem, final

    def _permitted(self, answer: Answer) -> Answer:
        if answer.status == 401:  # speaks of the key; a 403 may speak of one path that is switched off
            raise EndpointRefused(
                f"the endpoint refuses the key ({answer.complaint})",
                where=self.address.shown,
                fix="pass the name of the variable that holds a valid key with --api-key-env",
            )
        return answer


def _asked_for(body: Mapping[str, object] | None) -> int:
    """Tokens of output that a request may cost."""
    asked = [(body or {}).get(name) for name in ("max_tokens", "max_completion_tokens")]
    return max((one for one in asked if type(one) is int), default=0)


def _billed(answer: Answer | None) -> tuple[int | None, int | None]:
    """Tokens of prompt and output that an answer bills; nothing for a refusal, None for what it does not say."""
    if answer is None:
        return None, None
    if not answer.ok:
        return 0, 0
    usage: Any = answer.reply.get("usage")
    found = [usage.get(name) if isinstance(usage, dict) else None for name in ("prompt_tokens", "completion_tokens")]
    prompt, output = (one if type(one) is int and 0 <= one < 1 << 24 else None for one in found)
    return prompt, output


class _Tasks:
    """Jobs that run on a loop which only turns while somebody waits for the next of them."""

    def __init__(self, tasks: list[asyncio.Task[Any]]) -> None:
        self._tasks = tasks
        self._ended: asyncio.Queue[int] = asyncio.Queue()
        for number, task in enumerate(tasks):
            task.add_done_callback(partial(self._end, number))

    def results(self, runner: asyncio.Runner) -> Iterator[tuple[int, Any]]:
        """Number and result of every job as they end; those that ended together in the order of their numbers."""
        left = len(self._tasks)
        try:
            while left:
                numbers = runner.run(self._next())
                left -= len(numbers)
                for number in sorted(numbers):
                    yield number, self._tasks[number].result()
        finally:
            if left:
                runner.run(_cancelled(self._tasks))

    def _end(self, number: int, _: object) -> None:
        self._ended.put_nowait(number)

    async def _next(self) -> list[int]:
        """Numbers of jobs that have ended, at least one."""
        found = [await self._ended.get()]
        while not self._ended.empty():
            found.append(self._ended.get_nowait())
        return found


async def _started(jobs: Sequence[Callable[[], Awaitable[Any]]]) -> _Tasks:
    return _Tasks([asyncio.ensure_future(job()) for job in jobs])


async def _cancelled(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
