"""The one seam to the network: a request goes out once, bytes come back, within caps that no host can stretch."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import httpx2
from pydantic_core import from_json

from harness import __version__
from harness.errors import EndpointRefused
from harness.redact import safe_line
from harness.targets.endpoint.address import Address
from harness.targets.endpoint.shapes import chat_shaped
from harness.targets.endpoint.stream import is_stream, read_stream


@dataclass(frozen=True)
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

    @cached_property
    def reply(self) -> dict[str, Any]:
        """The answer in the shape of a chat answer, whatever protocol it came in, in one piece or streamed. Read once."""
        return read_stream(self.body).fields() if is_stream(self.body) else chat_shaped(self.fields())

    def value(self) -> Any:
        """The body as JSON; None for what is no JSON. Read once: not to be changed."""
        return self._value

    def fields(self) -> dict[str, Any]:
        """The body as a JSON object; empty for anything else."""
        value = self._value
        return value if isinstance(value, dict) else {}

    @cached_property
    def _value(self) -> Any:
        try:
            return from_json(self.body, cache_strings="keys")
        except ValueError:
            pass
        try:  # slower, and reads what is barely JSON: halves of characters, for one
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    @property
    def complaint(self) -> str:
        """What the host says is wrong, on one harmless line."""
        error = self.fields().get("error", self.fields().get("detail", self.fields().get("message", "")))
        said = error.get("message", error) if isinstance(error, dict) else error
        return safe_line(f"{self.status} {said if isinstance(said, str) and said else ''}".strip(), 200)


class Transport:
    """One connection pool to one endpoint. Redirects are not followed; the key goes nowhere but to the user's address."""

    def __init__(self, address: Address, timeout: float, size: int, connections: int) -> None:
        self.address, self._size = address, size
        headers = {"User-Agent": f"fidelity-harness/{__version__}", "Accept-Encoding": "identity"}
        self._urls: dict[str, httpx2.URL] = {}
        key, own = address.key(), address.extras.secrets()
        self._secrets = [secret for secret in (key, *own.values()) if secret]
        if key:
            headers["Authorization"] = f"Bearer {key}"
        headers |= own
        self._http = httpx2.AsyncClient(
            headers=headers,
            timeout=timeout,
            follow_redirects=False,
            limits=httpx2.Limits(max_connections=connections, max_keepalive_connections=connections),
            trust_env=not address.local,  # proxies of the environment, but never for this machine
        )

    async def send(self, method: str, url: str, content: bytes | None) -> Answer:
        """Send once and read the whole answer, at most ``size`` bytes unpacked; the caller sets the deadline."""
        started = time.monotonic()
        headers = {"Content-Type": "application/json"} if content is not None else {}
        async with self._http.stream(method, self._parsed(url), content=content, headers=headers) as response:
            packing = response.headers.get("content-encoding", "identity").lower()
            unpack = zlib.decompressobj(47) if packing in {"gzip", "deflate", "x-gzip"} else None
            if unpack is None and packing not in {"identity", ""}:
                raise httpx2.DecodingError(f"packed as {safe_line(packing)}, which was not asked for")
            data = bytearray()
            async for chunk in response.aiter_raw():
                left = self._size + 1 - len(data)
                try:
                    data += unpack.decompress(chunk, left) if unpack else chunk[:left]
                except zlib.error as error:
                    raise httpx2.DecodingError(str(error)) from error
                if len(data) > self._size:
                    raise EndpointRefused(
                        f"an answer of more than {self._size >> 20} MiB was cut off", where=self.address.shown
                    )
            return Answer(
                response.status_code,
                self._headers(response),
                self.without_key(bytes(data)),
                time.monotonic() - started,
            )

    def _parsed(self, url: str) -> httpx2.URL:
        """A host has few paths, and reading one takes a tenth of a request's time."""
        if url not in self._urls:
            self._urls[url] = httpx2.URL(url, params=dict(self.address.extras.query) or None)
        return self._urls[url]

    def _headers(self, response: httpx2.Response) -> dict[str, str]:
        named = {name.lower(): value for name, value in response.headers.items()}
        if not self._secrets:
            return named
        return {name: self.without_key(value.encode()).decode() for name, value in named.items()}

    def without_key(self, data: bytes) -> bytes:
        """The same bytes without keys: hosts repeat them in complaints, and complaints are published."""
        for secret in self._secrets:
            for form in {secret.encode(), json.dumps(secret)[1:-1].encode()}:
                data = data.replace(form, b"***")
        return data

    async def close(self) -> None:
        """Close connections."""
        await self._http.aclose()
