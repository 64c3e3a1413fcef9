"""SGLang: ``/model_info``, ``/v1/tokenize`` and ``/v1/detokenize``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from harness.prompts.conversation import Conversation
from harness.targets.endpoint.client import Client
from harness.targets.endpoint.engines.model import Engine, ServedPrompt, chat_fields, ids_of, served, text_of


@dataclass(frozen=True, slots=True)
class SGLang(Engine):
    """Messages given to ``/v1/tokenize`` go through the real chat path; texts are spelled out of the ids."""

    name = "SGLang"

    @classmethod
    def recognise(cls, client: Client) -> Self | None:
        """By the facts of the loaded model, which name its tokenizer."""
        fields = client.get("/model_info").fields()
        return cls(client) if {"model_path", "tokenizer_path"} <= set(fields) else None

    def prompt(self, conversation: Conversation) -> ServedPrompt:
        """Two requests: ids, then the text that they spell."""
        fields = chat_fields(conversation) | {"model": self.client.address.model}
        answer = self.client.post("/v1/tokenize", fields)
        ids = ids_of(answer.fields().get("tokens"))
        if ids is None or not answer.ok:
            return served(answer)
        body = {"model": self.client.address.model, "tokens": list(ids), "skip_special_tokens": False}
        return served(answer, text_of(self.client.post("/v1/detokenize", body).fields().get("text")), ids)

    def encode(self, text: str) -> tuple[int, ...] | None:
        """By ``/v1/tokenize`` of a prompt."""
        body = {"model": self.client.address.model, "prompt": text, "add_special_tokens": False}
        return ids_of(self.client.post("/v1/tokenize", body).fields().get("tokens"))
