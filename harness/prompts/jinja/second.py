"""A second opinion: the same template under minijinja, the runtime of many gateways written in Rust.

Stock minijinja with Python's methods switched on and blocks trimmed, as a careful gateway sets it up. Requests are prepared as
for the reference, so that nothing but the runtime differs: how it writes JSON, which filters, tests and tags it knows. Runs
in the bounded process only.
"""

from __future__ import annotations

import datetime
from typing import Any

from harness.prompts.conversation import Conversation, Dialect
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
