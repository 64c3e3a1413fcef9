"""Prompts of models that ship no template but a program: adapters, and a hook for programs that are installed.

An encoder is a function from a file to a function from a conversation to text and ids. ``mistral`` is mistral-common's own;
others are found under the entry point group ``fidelity.encoders``: a package declares ``name = "module:load"``, and
``load(path)`` returns a function that takes a ``Conversation`` and returns ``(text, ids)``, or raises ValueError for a
conversation that the format has no place for. Encoders run in the bounded process only; they are programs that the user
has installed, never code out of a checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from typing import Any

from harness.errors import MissingExtra, UnknownName
from harness.prompts.conversation import Conversation

Encoder = Callable[[Conversation], tuple[str, list[int]]]

GROUP = "fidelity.encoders"
_PACKAGES = {"mistral": "mistral-common"}


def encoder_version(name: str) -> str:
    """The package behind an encoder and its version; raises MissingExtra where it is not installed."""
    package = _PACKAGES.get(name)
    if package is None:
        package = _declared(name).dist.name if _declared(name).dist else name  # type: ignore[union-attr]
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError as error:
        raise MissingExtra(
            f"prompts of this file are made by {package}, which is not installed",
            where=name,
            fix=f"pip install 'fidelity-harness[{name}]'",
        ) from error


def load_encoder(name: str, path: str) -> Encoder:
    """An encoder on its file; runs in the bounded process."""
    if name == "mistral":
        return _mistral(path)
    found: Encoder = _declared(name).load()(path)
    return found


def _declared(name: str) -> metadata.EntryPoint:
    """The entry point of an installed package; raises UnknownName."""
    for entry in metadata.entry_points(group=GROUP, name=name):
        return entry
    known = sorted({*_PACKAGES, *(entry.name for entry in metadata.entry_points(group=GROUP))})
    raise UnknownName(f"no encoder of this name is installed: {name!r}", fix=f"use one of {', '.join(known)}")


def _mistral(path: str) -> Encoder:
    """mistral-common: validates a request as its makers' API does, and keeps users' words from becoming control tokens."""
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
