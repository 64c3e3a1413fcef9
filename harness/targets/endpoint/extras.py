"""What goes out with every request to an endpoint beside the audit's own fields: body fields, headers, query parameters.

Routers and gateways need them: a host to pin, a key under another header's name, a version in the address. Values of headers come
from environment variables and are never stored, printed or compared.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from typing import Any

from pydantic import Field, JsonValue

from harness.errors import UsageError
from harness.redact import safe_line
from harness.suites.model import Frozen

#: Fields that requests set themselves: one that overrode them would be judged as the host's fault.
OWN = frozenset({
    "messages", "prompt", "model", "max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k", "min_p", "seed",
    "stream", "stream_options", "logprobs", "top_logprobs", "return_token_ids", "return_tokens_as_token_ids", "return_tokens",
    "prompt_logprobs", "echo", "presence_penalty", "frequency_penalty", "repetition_penalty", "repeat_penalty", "n", "stop",
    "logit_bias", "response_format", "tools", "tool_choice", "chat_template_kwargs", "add_generation_prompt",
    "continue_final_message",
})  # fmt: skip
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
#: Headers that the client writes itself.
_TAKEN = frozenset({"host", "content-length", "content-type", "transfer-encoding", "accept-encoding", "connection"})
_MOST_BODY = 1 << 16


class Extras(Frozen):
    """Body fields, names of headers with the variables that hold their values, and query parameters."""

    body: dict[str, JsonValue] = Field(default_factory=dict)
    headers: tuple[tuple[str, str], ...] = ()
    query: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        """Whether anything goes out beside the audit's own fields."""
        return bool(self.body or self.headers or self.query)

    @property
    def pinned(self) -> tuple[str, ...]:
        """The hosts that a router may ask, where the body names them and forbids others; empty where it may choose."""
        provider = self.body.get("provider")
        if not isinstance(provider, dict):
            return ()
        only = provider.get("only")
        if not only and provider.get("allow_fallbacks") is False:
            only = provider.get("order")
        return tuple(str(one) for one in only) if isinstance(only, list) else ()

    def is_pinned(self, host: str) -> bool:
        """Whether an answer's host is a pinned one, or none is pinned; routers write names and tags of a host differently."""
        told = _bare(host)
        names = [_bare(one) for one in self.pinned]
        return not names or not told or any(told.startswith(one) or one.startswith(told) for one in names if one)

    @property
    def shown(self) -> str:
        """All of it on one line, without any header's value."""
        parts = [json.dumps(self.body, ensure_ascii=False)] if self.body else []
        parts += [f"header {name} from {variable}" for name, variable in self.headers]
        parts += [f"query {name}={value}" for name, value in self.query]
        return safe_line(", ".join(parts), 400)

    def secrets(self) -> dict[str, str]:
        """Headers with their values; raises UsageError for a variable that is not set, or holds what no header can carry."""
        found = {}
        for name, variable in self.headers:
            value = os.environ.get(variable, "").strip()
            if not value:
                raise UsageError(
                    f"the variable that should hold the header {name} is not set",
                    where=variable,
                    fix=f"export {variable}=... and run the same command again",
                )
            if not value.isascii() or not value.isprintable():
                raise UsageError(f"the header {name} would hold characters that no header can carry", where=variable)
            found[name] = value
        return found


def read_extras(body: str = "", headers: Sequence[str] = (), query: Sequence[str] = ()) -> Extras:
    """Read ``--extra-body JSON``, ``--header NAME=VARIABLE`` and ``--query NAME=VALUE``; raises UsageError."""
    pairs = [_pair("--header", text) for text in headers]
    for name, variable in pairs:
        if not _NAME.fullmatch(name) or name.lower() in _TAKEN:
            raise UsageError(f"{safe_line(name, 60)} is no header that can be set", where="--header")
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", variable):
            raise UsageError(
                "--header takes the name of an environment variable, never the value itself",
                where=safe_line(name, 60),
                fix=f"export VALUE=... and write --header {safe_line(name, 60)}=VALUE",
            )
    return Extras(body=_body(body), headers=tuple(pairs), query=tuple(_pair("--query", text) for text in query))


def _bare(host: str) -> str:
    return re.sub(r"[^a-z0-9]", "", host.split("/", maxsplit=1)[0].lower())


def _body(text: str) -> dict[str, JsonValue]:
    if not text:
        return {}
    try:
        value: Any = json.loads(text) if len(text) <= _MOST_BODY else None
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise UsageError("--extra-body takes a JSON object", fix='--extra-body \'{"provider": {"only": ["HOST"]}}\'')
    taken = sorted(OWN & value.keys())
    if taken:
        raise UsageError(
            f"{', '.join(taken)} is what requests ask for themselves: what overrides it would be held against the host",
            where="--extra-body",
            fix="leave it out; --sampler asks for another temperature or cut-off",
        )
    return value


def _pair(option: str, text: str) -> tuple[str, str]:
    name, mark, value = text.partition("=")
    if not mark or not name or not value or not (name + value).isprintable():
        raise UsageError(f"{option} takes NAME=VALUE on one line", where=safe_line(text.partition("=")[0], 60))
    return name.strip(), value.strip()
