"""A chat template compiled by the rules of transformers 5, or by those of another engine; runs in the child only.

The rules are those of ``transformers.utils.chat_template_utils`` (5.23): immutable sandbox, blocks trimmed, loop
controls, ``{% generation %}``, JSON without HTML escapes, a clock. ``tests/prompts/test_renderer.py`` holds every case
of the template suite against ``apply_chat_template`` itself.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from typing import Any

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.parser
import jinja2.runtime
import jinja2.sandbox
import jinja2.utils

from harness.prompts.conversation import Conversation, Dialect, Json

_REASONING = ("reasoning_content", "thinking", "reasoning")
_TAG = "CONTINUE_FINAL_MESSAGE_TAG "


class TemplateRefusal(jinja2.TemplateError):
    """The template itself raised an error: ``raise_exception`` was called."""


class _GenerationTag(jinja2.ext.Extension):
    """``{% generation %}`` marks what the assistant writes; its body is rendered as it is."""

    tags = {"generation"}  # noqa: RUF012 - jinja's own protocol

    def parse(self, parser: jinja2.parser.Parser) -> jinja2.nodes.Node:
        """Read up to ``{% endgeneration %}``."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller: jinja2.runtime.Macro) -> str:
        return caller()


class _Dict:
    """``dict(...)`` without the attributes of the class."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict(*args, **kwargs)

    def fromkeys(self, *args: Any) -> dict[Any, Any]:
        """As ``dict.fromkeys``."""
        return dict.fromkeys(*args)


class _Namespace(jinja2.utils.Namespace):
    """A namespace that takes no underscore-prefixed names, which would lead into Python's internals."""

    def __init__(*args: Any, **kwargs: Any) -> None:
        self, rest = args[0], args[1:]
        attributes = dict(*rest, **kwargs)
        for name in attributes:
            _refuse_underscore(name)
        jinja2.utils.Namespace.__init__(self, attributes)

    def __setitem__(self, name: str, value: Any) -> None:
        _refuse_underscore(name)
        jinja2.utils.Namespace.__setitem__(self, name, value)


def _refuse_underscore(name: Any) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise jinja2.exceptions.SecurityError(f"underscore-prefixed name {name!r} on a namespace")


class Template:
    """A compiled template under a dialect."""

    def __init__(self, source: str, dialect: Dialect, variables: dict[str, Any]) -> None:
        self.source = source
        self.dialect = dialect
        self.variables = variables  # special tokens
        environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
            trim_blocks=dialect.trim_blocks,
            lstrip_blocks=dialect.trim_blocks,
            extensions=[_GenerationTag, jinja2.ext.loopcontrols],
        )
        clock = datetime.datetime.fromisoformat(dialect.clock)
        environment.filters["tojson"] = json_filter(dialect.json_style)
        environment.globals["raise_exception"] = _raise
        environment.globals["strftime_now"] = clock.strftime
        environment.globals["dict"] = _Dict()
        environment.globals["namespace"] = _Namespace
        self.environment = environment
        self.compiled = environment.from_string(source)

    def render(self, conversation: Conversation, limit: int) -> str:
        """The text of one conversation; raises OverflowError past ``limit`` characters."""
        messages = prepared(conversation, self.dialect)
        tools = None if conversation.tools is None else list(conversation.tools)
        pieces, size = [], 0
        for piece in self.compiled.generate(
            messages=messages,
            tools=tools,
            documents=None,
            add_generation_prompt=conversation.generation,
            **(self.variables | conversation.options),
        ):
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                raise OverflowError(f"more than {limit:,} characters")
        text = "".join(pieces)
        return finished(text, conversation)


def prepared(conversation: Conversation, dialect: Dialect) -> list[dict[str, Any]]:
    """Messages as a template gets them: what an engine does to them before any template runs."""
    messages: list[dict[str, Any]] = [dict(message) for message in conversation.messages]
    if dialect.drop_nulls:
        messages = [{k: v for k, v in message.items() if v is not None} for message in messages]
    if dialect.alias_reasoning:
        messages = [_alias(message) for message in messages]
    if conversation.continue_final:
        _open(messages)
    return messages


def finished(text: str, conversation: Conversation) -> str:
    """What an engine does to a rendering: a reply that is to go on is left open."""
    return _closed_at_tag(text) if conversation.continue_final else text


def json_filter(style: Json) -> Callable[..., str]:
    """The ``tojson`` filter of an engine."""

    def tojson(
        value: Any,
        ensure_ascii: bool = False,  # noqa: FBT001, FBT002 - the signature that templates call
        indent: int | None = None,
        separators: tuple[str, str] | None = None,
        sort_keys: bool = False,  # noqa: FBT001, FBT002
    ) -> str:
        if style.whole_floats_as_integers:
            value = _whole(value)
        indent = style.indent if style.indent is not None else indent
        if separators is None and indent is None:
            separators = style.separators
        text = json.dumps(
            value,
            ensure_ascii=ensure_ascii or style.ensure_ascii,
            indent=indent,
            separators=separators,
            sort_keys=sort_keys or style.sort_keys,
        )
        if style.escape_html:
            for character in "<>&'":
                text = text.replace(character, f"\\u{ord(character):04x}")
        return text

    return tojson


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _whole(inner) for key, inner in value.items()}
    return [_whole(inner) for inner in value] if isinstance(value, list) else value


def _raise(message: str) -> None:
    raise TemplateRefusal(message)


def _alias(message: dict[str, Any]) -> dict[str, Any]:
    reasoning = next((message[key] for key in _REASONING if message.get(key) is not None), None)
    return message if reasoning is None else {"thinking": reasoning, **message, "reasoning_content": reasoning}


def _open(messages: list[dict[str, Any]]) -> None:
    """Mark the end of the last message, so that what the template writes after it can be cut off."""
    content = messages[-1].get("content") if messages else None
    if isinstance(content, list):
        part = next((p for p in reversed(content) if isinstance(p, dict) and "text" in p), None)
        if part is None:
            raise TemplateRefusal("there is no text to continue in the last message")
        parts = [{**p, "text": p["text"] + _TAG} if p is part else p for p in content]
        messages[-1] = {**messages[-1], "content": parts}
    elif isinstance(content, str):
        messages[-1] = {**messages[-1], "content": content + _TAG}
    else:
        raise TemplateRefusal("there is no content to continue in the last message")


def _closed_at_tag(text: str) -> str:
    if _TAG.strip() not in text:
        raise TemplateRefusal("the template leaves out the message that is to be continued")
    at = text.rindex(_TAG.strip())
    return text[:at] if text[at : at + len(_TAG)] == _TAG else text[:at].rstrip()
