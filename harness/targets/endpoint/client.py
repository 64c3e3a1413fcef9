"""The one seam to the network: a request goes out, bytes come back, within caps that no host can stretch."""

from __future__ import annotations

import asyncio
import datetime
import json
import random
import time
import zlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2

from harness import __version__
from harness.errors import EndpointRefused, EndpointUnreachable
from harness.redact import safe_line
from harness.targets.endpoint.address import Address
from harness.targets.endpoint.retry import AGAIN, BEFORE_WRITING, wait_before_retry


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds for one attempt, for a request with all its attempts, for all requests; bytes of one answer, unpacked."""

    attempt: float = 60.0
    request: float = 120.0
    session: float = 1800.0
    size: int = 16 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: status, headers in lower case, the body as bytes, and the seconds that it took."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether the host did what it was asked."""
        return 200 <= self.status < 300

    def value(self) -> Any:
        """The body as JSON; None for what is no JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    def fields(self) -> dict[str, Any]:
        """The body as a JSON object; empty for anything else."""
        value = self.value()
        return value if isinstance(value, dict) else {}

    @property
    def complaint(self) -> str:
        """What the host says is wrong, on one harmless line."""
        error = self.fields().get("error", self.fields().get("detail", self.fields().get("message", "")))
        said = error.get("message", error) if isinstance(error, dict) else error
        return safe_line(f"{self.status} {said if isinstance(said, str) and said else ''}".strip(), 200)


@dataclass
class Client:
    """Asks one endpoint. ``sent`` counts attempts, so that budgets hold whatever the host answers.

    Every attempt has an absolute deadline (a host that drips bytes meets it, too), redirects are not followed, and the
    key goes nowhere but to the address that the user gave.
    """

    address: Address
    limits: Limits = field(default_factory=Limits)
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    jitter: Callable[[], float] = random.random
    sent: int = 0

    def __post_init__(self) -> None:
        self._runner = asyncio.Runner()
        headers = {"User-Agent": f"fidelity-harness/{__version__}", "Accept-Encoding": "identity"}
        self._until = time.monotonic() + self.limits.session
        self._key = self.address.key()
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        self._http = httpx2.AsyncClient(
            headers=headers,
            timeout=self.limits.attempt,
            follow_redirects=False,
            trust_env=not self.address.local,  # proxies of the environment, but never for this machine
        )

    def get(self, path: str) -> Answer:
        """Ask for one of the engine's own pages; ``path`` is relative to the root beside ``/v1``."""
        return self._runner.run(self._ask("GET", self.address.root + path, None))

    def post(self, path: str, body: Mapping[str, object]) -> Answer:
        """Send JSON to one of the engine's own paths."""
        return self._runner.run(self._ask("POST", self.address.root + path, body))

    def chat(self, body: Mapping[str, object], *, drawn: bool = False) -> Answer:
        """Send a chat request to the OpenAI path.

        ``drawn`` for replies that are evidence: a second draw after a slow or broken first would favour short replies, so
        the request is sent again only where nothing can have been written yet.
        """
        return self._runner.run(self._ask("POST", self.address.base + "/chat/completions", body, drawn=drawn))

    def close(self) -> None:
        """Close connections."""
        self._runner.run(self._http.aclose())
        self._runner.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _ask(self, method: str, url: str, body: Mapping[str, object] | None, *, drawn: bool = False) -> Answer:
        """One request with all its attempts; an answer of any status, or EndpointUnreachable."""
        until, attempt = time.monotonic() + self.limits.request, 0
        if time.monotonic() >= self._until:
            raise EndpointUnreachable(
                f"the endpoint is too slow: {self.sent} requests took more than {self.limits.session / 60:.0f} minutes",
                where=self.address.shown,
                fix="try again when it is less busy, or use --access counts, which needs fewer requests",
            )
        while True:
            attempt += 1
            self.sent += 1
            answer, problem, final = None, "", False
            try:
                async with asyncio.timeout(min(self.limits.attempt, max(until - time.monotonic(), 0.001))):
                    answer = await self._once(method, url, body)
            except TimeoutError:
                problem, final = f"no whole answer within {self.limits.attempt:.0f} s", drawn
            except (httpx2.HTTPError, OSError) as error:
                problem = safe_line(f"{type(error).__name__}: {error}")
                final = drawn and not isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout))
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

    async def _once(self, method: str, url: str, body: Mapping[str, object] | None) -> Answer:
        started = time.monotonic()
        content = None if body is None else json.dumps(body, ensure_ascii=True).encode()
        headers = {"Content-Type": "application/json"} if body is not None else {}
        async with self._http.stream(method, url, content=content, headers=headers) as response:
            packing = response.headers.get("content-encoding", "identity").lower()
            unpack = zlib.decompressobj(47) if packing in {"gzip", "deflate", "x-gzip"} else None
            if unpack is None and packing not in {"identity", ""}:
                raise httpx2.DecodingError(f"packed as {safe_line(packing)}, which was not asked for")
            data = bytearray()
            async for chunk in response.aiter_raw():
                left = self.limits.size + 1 - len(data)
                try:
                    data += unpack.decompress(chunk, left) if unpack else chunk[:left]
                except zlib.error as error:
                    raise httpx2.DecodingError(str(error)) from error
                if len(data) > self.limits.size:
                    raise EndpointRefused(
                        f"an answer of more than {self.limits.size >> 20} MiB was cut off", where=self.address.shown
                    )
            return Answer(
                response.status_code,
                {name.lower(): self._without_key(value.encode()).decode() for name, value in response.headers.items()},
                self._without_key(bytes(data)),
                time.monotonic() - started,
            )

    def _without_key(self, data: bytes) -> bytes:
        """The same bytes without the key: hosts repeat it in complaints, and complaints are published."""
        if not self._key:
            return data
        for form in {self._key.encode(), json.dumps(self._key)[1:-1].encode()}:
            data = data.replace(form, b"***")
        return data

    def _permitted(self, answer: Answer) -> Answer:
        if answer.status == 401:  # speaks of the key; a 403 may speak of one path that is switched off
            raise EndpointRefused(
                f"the endpoint refuses the key ({answer.complaint})",
                where=self.address.shown,
                fix="pass the name of the variable that holds a valid key with --api-key-env",
            )
        return answer
