"""Faults of reasoning: earlier thoughts lost or kept against the rule, and the switch for thinking."""

from __future__ import annotations

import re

from harness.prompts.faults.model import Family, Fault, Message, Request, each_message, each_text

_NAMES = ("reasoning_content", "reasoning", "thinking")


def _dropped(request: Request, _: Family) -> Request:
    return each_message(request, lambda message: {k: v for k, v in message.items() if k not in _NAMES})


def _name_lost(request: Request, _: Family) -> Request:
    """An engine that knows one spelling only."""
    stripped = each_message(request, lambda m: {k: v for k, v in m.items() if k not in {"reasoning", "thinking"}})
    return stripped.under(alias_reasoning=False)


def _inline(request: Request, _: Family) -> Request:
    """Thoughts are written into the content, where a template's own rule no longer sees them."""

    def change(message: Message) -> Message:
        thought = next((message[name] for name in _NAMES if message.get(name)), None)
        if thought is None or isinstance(message.get("content"), list):
            return message
        kept = {k: v for k, v in message.items() if k not in _NAMES}
        return kept | {"content": f"<think>\n{thought}\n</think>\n\n{message.get('content') or ''}"}

    return each_message(request, change)


def _tags_stripped(request: Request, _: Family) -> Request:
    pattern = re.compile(r"<think>.*?</think>\s*", re.DOTALL)
    return each_text(request, lambda text: pattern.sub("", text), frozenset({"assistant"}))


def _thinking_on(request: Request, _: Family) -> Request:
    return request.with_options(enable_thinking=True)


def _thinking_off(request: Request, _: Family) -> Request:
    return request.with_options(enable_thinking=False)


def _options_lost(request: Request, _: Family) -> Request:
    conversation = request.conversation.model_copy(update={"options": {}})
    return Request(conversation, request.template, request.dialect)


REASONING = (
    Fault("reasoning-dropped", "reasoning", "S3", "earlier reasoning is lost", request=_dropped),
    Fault("reasoning-name-lost", "reasoning", "S2", "only one spelling of reasoning is read", request=_name_lost),
    Fault("reasoning-inline", "reasoning", "S2", "earlier reasoning is written into the content", request=_inline),
    Fault("think-tags-stripped", "reasoning", "S2", "think blocks are cut out of contents", request=_tags_stripped),
    Fault("thinking-default-on", "reasoning", "S2", "thinking is on where it was not asked for", request=_thinking_on),
    Fault(
        "thinking-default-off", "reasoning", "S2", "thinking is off where it was not asked for", request=_thinking_off
    ),
    Fault("options-lost", "reasoning", "S3", "template options do not reach the template", request=_options_lost),
)
