"""Ollama: ``/api/version``, ``/api/show`` and ``_debug_render_only``; it shows texts and never ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from harness.prompts.conversation import Conversation
from harness.targets.endpoint.client import Client
from harness.targets.endpoint.engines.model import (
    Engine,
    ServedPrompt,
    chat_fields,
    served,
    shown_version,
    stated,
    text_of,
)


@dataclass(frozen=True, slots=True)
class Ollama(Engine):
    """Templates are Go templates or compiled renderers, chosen by likeness to known ones: only renderings tell."""

    name = "Ollama"

    @classmethod
    def recognise(cls, client: Client) -> Self | None:
        """By its version page; the template is asked for in a second request."""
        version = stated(client.get("/api/version").fields(), "version")
        if not version:
            return None
        shown = client.post("/api/show", {"model": client.address.model}).fields()
        return cls(client, shown_version(version), stated(shown, "template"))

    def prompt(self, conversation: Conversation) -> ServedPrompt:
        """One request, which renders and does not generate."""
        body = chat_fields(conversation) | {"model": self.client.address.model, "_debug_render_only": True}
        answer = self.client.post("/v1/chat/completions", body | {"stream": False})
        info = answer.fields().get("_debug_info")
        return served(answer, text_of(info.get("rendered_template")) if isinstance(info, dict) else None)
