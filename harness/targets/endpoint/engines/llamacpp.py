"""llama.cpp's server: ``/props``, ``/apply-template`` and ``/tokenize``."""

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
class LlamaCpp(Engine):
    """Renders by ``/apply-template``, which leaves out a begin-of-text token that ``/tokenize`` puts back."""

    name = "llama.cpp"
    jinja = True

    @classmethod
    def recognise(cls, client: Client) -> Self | None:
        """By its settings, which no other engine has under this path."""
        fields = client.get("/props").fields()
        if "default_generation_settings" not in fields:
            return None
        return cls(client, shown_version(stated(fields, "build_info")), stated(fields, "chat_template"))

    def prompt(self, conversation: Conversation) -> ServedPrompt:
        """Two requests: the text, then its ids as the chat path would make them."""
        answer = self.client.post("/apply-template", chat_fields(conversation))
        text = text_of(answer.fields().get("prompt"))
        if text is None or not answer.ok:
            return served(answer)
        return served(answer, text, self._tokens(text, special=True))

    def encode(self, text: str) -> tuple[int, ...] | None:
        """By ``/tokenize`` without special tokens around."""
        return self._tokens(text, special=False)

    def _tokens(self, text: str, *, special: bool) -> tuple[int, ...] | None:
        body = {"content": text, "add_special": special, "parse_special": True}
        return ids_of(self.client.post("/tokenize", body).fields().get("tokens"))
