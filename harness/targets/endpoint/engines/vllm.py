"""vLLM: ``/version``, ``/tokenize`` and ``/detokenize``; ``/v1/chat/completions/render`` where it is switched on."""

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

_OFF = {403, 404, 405}


@dataclass(frozen=True, slots=True)
class VLLM(Engine):
    """Ids come from ``/render``, which runs the whole chat path, or else from ``/tokenize``; texts from the ids.

    ``/tokenize`` with messages adds no special tokens unless asked, and with a plain prompt it does: the second is why
    ``add_special_tokens`` is always sent.
    """

    name = "vLLM"

    @classmethod
    def recognise(cls, client: Client) -> Self | None:
        """By ``/version``, a path that gateways seldom pass on."""
        fields = client.get("/version").fields()
        version = stated(fields, "version")
        return cls(client, shown_version(version)) if version and set(fields) == {"version"} else None

    def prompt(self, conversation: Conversation) -> ServedPrompt:
        """Two or three requests: ids, then the text that they spell."""
        fields = chat_fields(conversation) | {"model": self.client.address.model}
        answer = self.client.post("/v1/chat/completions/render", fields | {"max_tokens": 1})
        ids = ids_of(answer.fields().get("token_ids"))
        if ids is None and answer.status in _OFF:
            answer = self.client.post("/tokenize", fields | {"add_special_tokens": False})
            ids = ids_of(answer.fields().get("tokens"))
        if ids is None or not answer.ok:
            return served(answer)
        spelled = self.client.post("/detokenize", {"model": self.client.address.model, "tokens": list(ids)})
        return served(answer, text_of(spelled.fields().get("prompt")), ids)

    def encode(self, text: str) -> tuple[int, ...] | None:
        """By ``/tokenize`` of a prompt, without the special tokens that it adds by default."""
        body = {"model": self.client.address.model, "prompt": text, "add_special_tokens": False}
        return ids_of(self.client.post("/tokenize", body).fields().get("tokens"))
