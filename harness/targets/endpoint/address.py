"""What a user writes for an endpoint: ``https://host/v1#model``, and the name of the variable that holds its key."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from urllib.parse import urlsplit

from harness.errors import BadSpec, UsageError
from harness.redact import safe_line


@dataclass(frozen=True, slots=True)
class Address:
    """An endpoint: ``base`` is what the OpenAI paths are put behind, ``model`` may be empty.

    ``key_variable`` names the environment variable that holds the key; the key itself is read when a request is made
    and is never stored, printed or compared.
    """

    base: str
    model: str = ""
    key_variable: str = ""

    @property
    def root(self) -> str:
        """Where an engine's own paths begin: beside ``/v1``."""
        return self.base.removesuffix("/v1")

    @property
    def shown(self) -> str:
        """The address as reports state it."""
        return safe_line(f"{self.base}#{self.model}" if self.model else self.base)

    @property
    def local(self) -> bool:
        """Whether it is this machine, which no proxy can reach."""
        host = urlsplit(self.base).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    def key(self) -> str:
        """The key, or an empty string where none is needed; raises UsageError if the variable is not set."""
        if not self.key_variable:
            return ""
        value = os.environ.get(self.key_variable, "").strip()
        if not value:
            raise UsageError(
                "the variable that should hold the endpoint's key is not set",
                where=self.key_variable,
                fix=f"export {self.key_variable}=... and run the same command again",
            )
        if not value.isascii() or not value.isprintable():
            raise UsageError("the endpoint's key holds characters that no header can carry", where=self.key_variable)
        return value


def is_address(text: str) -> bool:
    """Whether a target specification means an endpoint."""
    return text.lower().startswith(("http://", "https://"))


def parse_address(text: str, key_variable: str = "") -> Address:
    """Read an address; raises BadSpec. ``/v1`` is added to a bare host, everything else is taken as written."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise BadSpec(f"this is no address: {error}", where=safe_line(text)) from error
    if parts.scheme.lower() not in {"http", "https"} or not host:
        raise BadSpec("an endpoint's address needs a scheme and a host", where=safe_line(text), fix="https://host/v1#m")
    if parts.username or parts.password:
        raise BadSpec(
            "an address must not hold a name or a password",
            where=f"{parts.scheme}://...@{host}",
            fix="put the key into an environment variable and pass its name with --api-key-env",
        )
    if parts.query:
        raise BadSpec("an address with a query is not supported", where=safe_line(text), fix="https://host/v1#model")
    if any(not char.isprintable() or char.isspace() for char in text):
        raise BadSpec("an address must not hold blanks or control characters", where=safe_line(text))
    path = parts.path.rstrip("/").removesuffix("/chat/completions") or "/v1"
    return Address(f"{parts.scheme.lower()}://{parts.netloc}{path}", parts.fragment, key_variable)
