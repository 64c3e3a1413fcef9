"""Text Generation Inference: ``/info``, ``/chat_tokenize`` and ``/tokenize``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from harness.prompts.conversation import Conversation
from harness.targets.endpoint.client import Client
from harness.targets.endpoint.engines.model import (
    Engine,
    ServedPrompt,
    chat_fields,
    ids_of,
    served,
    shown_version,
    stated,
    text_of,
)


@dataclass(frozen=True, slots=True)
class TextGenerationInference(Engine):
    """``/chat_tokenize`` shows both the text and the ids of a chat request."""

    name = "TGI"

    @classmethod
    def recognise(cls, client: Client) -> Self | None:
        """By ``/info``, where it names its router and its model."""
        fields = client.get("/info").fields()
        router = stated(fields, "router")
        if not stated(fields, "model_id") or "text-generation" not in router:
            return None
        return cls(client, shown_version(stated(fields, "version")))

    def prompt(self, conversation: Conversation) -> ServedPrompt:
        """One request."""
        fields = chat_fields(conversation) | {"model": self.client.address.model or "tgi"}
        answer = self.client.post("/chat_tokenize", fields)
        found = answer.fields()
        return served(answer, text_of(found.get("templated_text")), ids_of(found.get("tokenize_response")))

    def encode(self, text: str) -> tuple[int, ...] | None:
        """By ``/tokenize``, which leaves special tokens out if told so."""
        return ids_of(self.client.post("/tokenize", {"inputs": text, "add_special_tokens": False}).value())
