"""What a user writes for an endpoint: ``https://host/v1#model``, and the name of the variable that holds its key."""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from pydantic import JsonValue

from harness.errors import BadSpec, UsageError
from harness.redact import safe_line
from harness.targets.endpoint.extras import Extras


@dataclass(frozen=True, slots=True)
class Address:
    """An endpoint: ``base`` is what the OpenAI paths are put behind, ``model`` may be empty.

    ``key_variable`` names the environment variable that holds the key; the key itself is read when a request is made
    and is never stored, printed or compared. ``extras`` go out with every request.
    """

    base: str
    model: str = ""
    key_variable: str = ""
    extras: Extras = field(default_factory=Extras)

    @property
    def root(self) -> str:
        """Where an engine's own paths begin: beside ``/v1``."""
        return self.base.removesuffix("/v1")

    @property
    def chosen(self) -> bool:
        """Whether a router chooses the host of each request anew."""
        router = next((name for name, (base, _) in _ROUTERS.items() if base == self.base), "")
        return bool(router) and not self.extras.pinned and not (router == "hf" and ":" in self.model)

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


#: Routers by the word that users write for them: where they are, and the variable that usually holds a key for them.
_ROUTERS = {
    "openrouter": ("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "hf": ("https://router.huggingface.co/v1", "HF_TOKEN"),
}


def is_address(text: str) -> bool:
    """Whether a target specification means an endpoint."""
    return text.lower().startswith(("http://", "https://", *(f"{name}:" for name in _ROUTERS)))


def parse_address(text: str, key_variable: str = "", extras: Extras | None = None) -> Address:
    """Read an address; raises BadSpec. ``/v1`` is added to a bare host, everything else is taken as written.

    ``openrouter:AUTHOR/SLUG@HOST`` and ``hf:ORG/NAME@HOST`` are models at a router, pinned to one of its hosts: no other may
    answer, and none that does not know a parameter of a request. Without ``@HOST`` the router chooses.
    """
    name, _, rest = text.partition(":")
    if name.lower() in _ROUTERS and not rest.startswith("//"):
        return _routed(name.lower(), rest, key_variable, extras or Extras())
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
    base = f"{parts.scheme.lower()}://{parts.netloc}{path}"
    return Address(base, parts.fragment, key_variable, extras or Extras())


def _routed(router: str, text: str, key_variable: str, extras: Extras) -> Address:
    model, pin, host = text.partition("@")
    if not re.fullmatch(r"[\w.-]+/[\w.:-]+", model) or (pin and not re.fullmatch(r"[\w./-]+", host)):
        raise BadSpec(
            "a model at a router is written with its author, and a host behind '@'",
            where=safe_line(f"{router}:{text}"),
            fix=f"{router}:AUTHOR/MODEL@HOST",
        )
    base, usual = _ROUTERS[router]
    if router == "hf":
        return Address(base, f"{model}:{host}" if host else model, key_variable or usual, extras)
    if host:
        if "provider" in extras.body:
            raise BadSpec(
                "the host is pinned by the address and by provider in --extra-body",
                where=safe_line(f"{router}:{text}"),
                fix="leave one of them out",
            )
        rule: dict[str, JsonValue] = {
            "order": [host], "only": [host], "allow_fallbacks": False, "require_parameters": True
        }  # fmt: skip
        extras = extras.model_copy(update={"body": {**extras.body, "provider": rule}})
    return Address(base, model, key_variable or usual, extras)
