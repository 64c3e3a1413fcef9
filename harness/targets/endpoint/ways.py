"""How a host is asked for a reply: by which protocol, in one piece or streamed, and with which of the fields that it may know.

*Ways* are tried the fullest first; a host that refuses a field it does not know is asked in the next way. A way is a number, so
that one and the same is used for a whole audit, and is read back from a stored request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import JsonValue

from harness.prompts.conversation import Conversation
from harness.targets.endpoint.engines.model import chat_fields
from harness.targets.endpoint.told import FEW_LISTED, MOST_LISTED
from harness.targets.sampler import Sampler

#: chat: messages, and the host makes the prompt; completions: the reference's own prompt, in which no template takes part.
Protocol = Literal["chat", "completions"]

_WHOLE: dict[str, JsonValue] = {"min_p": 0.0, "repetition_penalty": 1.0, "repeat_penalty": 1.0}
_IDS: dict[str, JsonValue] = {
    "logprobs": True, "top_logprobs": MOST_LISTED, "return_token_ids": True, "return_tokens_as_token_ids": True
}  # fmt: skip
_SEEDED: dict[str, JsonValue] = {"seed": 0}  # each request has its own
#: The first ``_NEUTRAL`` switch off everything that a host may add to sampling on its own.
WAYS: tuple[dict[str, JsonValue], ...] = (
    {"top_k": 0, **_WHOLE, **_IDS, **_SEEDED},
    {"top_k": -1, **_WHOLE, **_IDS, **_SEEDED},  # how some engines write "no limit"
    {"logprobs": True, "top_logprobs": MOST_LISTED, **_SEEDED},
    {"logprobs": True, "top_logprobs": FEW_LISTED, **_SEEDED},
    {"logprobs": True, "top_logprobs": FEW_LISTED},
    {**_SEEDED},
    {"top_k": 0},
    {},
)
_NEUTRAL = 2
#: The way of a host that was not told to be neutral.
UNTOLD = _NEUTRAL
#: What every request says of sampling, whatever the sampler.
PLAIN: dict[str, JsonValue] = {"stream": False, "presence_penalty": 0.0, "frequency_penalty": 0.0}
#: Fields that a request has its own value of, whatever the way.
_OWN = frozenset({"seed", "top_k", "min_p"})


@dataclass(frozen=True, slots=True)
class Question:
    """A conversation; with ``ids`` it is asked by the prompt that the reference makes of it, whose text is ``text``."""

    conversation: Conversation
    ids: tuple[int, ...] = ()
    text: str = ""

    @property
    def path(self) -> str:
        """Where it is sent."""
        return "/completions" if self.ids else "/chat/completions"

    @property
    def ways(self) -> range:
        """All ways of asking it; prompts go out as ids first, and as text in the second half."""
        return range(len(WAYS) * (2 if self.ids and self.text else 1))

    def body(self, way: int, tokens: int, sampler: Sampler, seed: int, *, stream: bool = False) -> dict[str, object]:
        """The fields of a request, the model's name aside."""
        fields = _fields(way, prompt=bool(self.ids))
        asked: Mapping[str, object] = chat_fields(self.conversation)
        if self.ids:
            asked = {"prompt": list(self.ids) if way < len(WAYS) else self.text}
            fields = fields | (
                {"return_tokens": True} if "return_token_ids" in fields else {}
            )  # llama.cpp's word for it
        body: dict[str, object] = {**asked, "max_tokens": tokens, **PLAIN, **fields, **sampler.fields()}
        if stream:
            body |= {"stream": True} | ({"stream_options": {"include_usage": True}} if fields else {})
        return body | ({"seed": seed} if "seed" in body else {})


def is_neutral(way: int) -> bool:
    """Whether a host that is asked in this way is told to add no cut-off and no penalty of its own."""
    return way % len(WAYS) < _NEUTRAL


def way_of(body: Mapping[str, Any]) -> int:
    """In which way a request was sent: the first whose fields it has, and no more of them than those.

    A sampler that was asked for adds its own field to every way.
    """
    asked = {name for name in ("top_k", "min_p") if body.get(name) not in (None, 0, -1)}
    known = {name for way in WAYS for name in way} - asked
    sent = {name for name in body if name in known}
    prompt = "prompt" in body
    first = len(WAYS) if isinstance(body.get("prompt"), str) else 0
    for number in range(len(WAYS)):
        way = _fields(number, prompt=prompt)
        if set(way) - asked == sent and all(body[name] == value for name, value in way.items() if name not in _OWN):
            return first + number
    return first + len(WAYS) - 1


def _fields(way: int, *, prompt: bool) -> dict[str, JsonValue]:
    """The fields of a way; completions write how many log-probabilities they want where chat says that it wants some."""
    fields = WAYS[way % len(WAYS)]
    if not prompt or "top_logprobs" not in fields:
        return fields
    return {name: value for name, value in fields.items() if name != "top_logprobs"} | {
        "logprobs": fields["top_logprobs"]
    }
