"""Prompts by mistral-common: requests are validated as its makers' API does, users' words never become control tokens."""

from __future__ import annotations

from typing import Any

from harness.prompts.conversation import Conversation


def load(path: str) -> Any:
    """The encoder on a ``tekken.json``; returns a function from a conversation to ``(text, ids)``."""
    from mistral_common.exceptions import MistralCommonException  # noqa: PLC0415
    from mistral_common.protocol.instruct.request import ChatCompletionRequest  # noqa: PLC0415
    from mistral_common.tokens.tokenizers.mistral import MistralTokenizer  # noqa: PLC0415

    tokenizer = MistralTokenizer.from_file(path)

    def encode(conversation: Conversation) -> tuple[str, list[int]]:
        messages: Any = [{k: v for k, v in message.items() if v is not None} for message in conversation.messages]
        tools: Any = None if conversation.tools is None else list(conversation.tools)
        try:
            request = ChatCompletionRequest.from_openai(
                messages, tools=tools, continue_final_message=conversation.continue_final
            )
            found = tokenizer.encode_chat_completion(request)
        except (MistralCommonException, NotImplementedError, KeyError, TypeError, AssertionError) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error
        return str(found.text), [int(i) for i in found.tokens]

    return encode
