"""The reference renderer itself: transformers' own rendering of one conversation, with the clock frozen."""

from __future__ import annotations

import datetime
from typing import Any
from unittest import mock

from harness.prompts.conversation import FROZEN_CLOCK, Conversation


def by_transformers(source: str, conversation: Conversation, variables: dict[str, Any]) -> str | None:
    """The text, or None where transformers or the template raises."""
    from transformers.utils import chat_template_utils

    messages = [{k: v for k, v in m.items() if v is not None} for m in conversation.messages]
    frozen = mock.Mock(now=lambda: datetime.datetime.fromisoformat(FROZEN_CLOCK))
    try:
        with mock.patch.object(chat_template_utils, "datetime", frozen):
            texts, _ = chat_template_utils.render_jinja_template(
                conversations=[messages],
                tools=None if conversation.tools is None else list(conversation.tools),
                chat_template=source,
                add_generation_prompt=conversation.generation,
                continue_final_message=conversation.continue_final,
                **(variables | conversation.options),
            )
    except Exception:
        return None
    return texts[0]
