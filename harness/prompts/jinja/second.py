"""Second opinions: the same template under other runtimes, in the bounded process only.

minijinja is the runtime of many gateways written in Rust: stock, with Python's methods switched on and blocks trimmed, as a
careful gateway sets it up. Requests are prepared as for the reference, so that nothing but the runtime differs: how it writes
JSON, which filters, tests and tags it knows.

llama.cpp's own engine comes as a WebAssembly module in the package ggufdoctor, built from a pinned commit. It gets requests as
a server would, normalises them as it does, and differs from the reference by what ``deviations.py`` lists.
"""

from __future__ import annotations

import datetime
from typing import Any

from harness.prompts.conversation import BY_THE_HOST, Conversation, Dialect
from harness.prompts.jinja.environment import TemplateRefusal, finished, prepared

_FUEL = 5_000_000  # steps; a template that needs more does not end


class MinijinjaTemplate:
    """A template compiled by minijinja."""

    def __init__(self, source: str, dialect: Dialect, variables: dict[str, Any]) -> None:
        from minijinja import Environment  # noqa: PLC0415

        self._variables = variables
        self._dialect = dialect
        self._refusal: TemplateRefusal | None = None
        clock = datetime.datetime.fromisoformat(dialect.clock)
        environment = Environment(templates={"chat": source})
        environment.trim_blocks = environment.lstrip_blocks = dialect.trim_blocks
        environment.auto_escape_callback = lambda _: False
        environment.fuel = _FUEL
        environment.add_global("raise_exception", self._raise)
        environment.add_global("strftime_now", clock.strftime)
        self._environment = environment

    def render(self, conversation: Conversation, limit: int) -> str:
        """The text of one conversation; raises OverflowError past ``limit`` characters."""
        self._refusal = None
        try:
            text: str = self._environment.render_template(
                "chat",
                messages=prepared(conversation, self._dialect),
                tools=None if conversation.tools is None else list(conversation.tools),
                add_generation_prompt=conversation.generation,
                **(self._variables | conversation.options),
            )
        except Exception:
            if self._refusal is not None:  # what a template raises comes back wrapped
                raise self._refusal from None
            raise
        if len(text) > limit:
            raise OverflowError(f"more than {limit:,} characters")
        return finished(text, conversation)

    def _raise(self, message: str) -> None:
        self._refusal = TemplateRefusal(message)
        raise self._refusal


class LlamaCppTemplate:
    """A template as llama.cpp's own engine renders it, without a server."""

    def __init__(self, source: str, dialect: Dialect, variables: dict[str, Any]) -> None:
        from ggufdoctor.engines.llamacpp_engine import LlamaCppEngine  # noqa: PLC0415

        self._engine = LlamaCppEngine()
        if not self._engine.available:
            raise ValueError(f"llama.cpp's engine cannot be started: {self._engine.unavailable_reason}")
        self._source, self._variables, self._dialect = source, variables, dialect

    def render(self, conversation: Conversation, limit: int) -> str:
        """The text of one conversation; raises OverflowError past ``limit`` characters."""
        if conversation.continue_final:
            raise TemplateRefusal(f"{BY_THE_HOST}begun replies are appended by the server, not by the engine")
        messages = [dict(message) for message in conversation.messages]
        if "developer" not in self._source:  # the server's own rule, before the engine is called
            messages = [m | {"role": "system"} if m["role"] == "developer" else m for m in messages]
        context = {
            "messages": messages,
            "add_generation_prompt": conversation.generation,
            **self._variables,
            **conversation.options,
        }
        if conversation.tools is not None:
            context["tools"] = list(conversation.tools)
        found = self._engine.render(self._source, context)
        if found.text is None:
            problem = str(found.error)
            raise TemplateRefusal(problem[6:]) if problem.startswith("raise:") else ValueError(problem)
        if len(found.text) > limit:
            raise OverflowError(f"more than {limit:,} characters")
        return str(found.text)
