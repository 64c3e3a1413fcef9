"""What a host gives the tokens of a text that it is shown: shapes of vLLM and of OpenAI's legacy ``echo``, read here alone.

- vLLM: ``prompt_logprobs``, per token an object of ids; the token itself is always among them, the first token has none.
- echo: the prompt comes back as a completion with log-probabilities beside each of its tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import JsonValue

from harness.errors import EndpointRefused, EndpointUnreachable
from harness.redact import safe_line
from harness.suites.model import Frozen
from harness.suites.requests import UNREACHED
from harness.targets.endpoint.client import Client
from harness.targets.endpoint.told import FEW_LISTED, MOST_LISTED, Pair, Told, read_pair, read_told, told_entries
from harness.targets.endpoint.transport import Answer

Ids = tuple[int, ...]

_PLAIN: dict[str, JsonValue] = {"top_p": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0}
_WHOLE: dict[str, JsonValue] = {**_PLAIN, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0}
_ECHO: dict[str, JsonValue] = {"echo": True, "max_tokens": 1, "return_tokens_as_token_ids": True}
#: Ways of asking, the fullest first; the first ``_NEUTRAL`` switch off what a host may add to its distribution.
_WAYS: tuple[dict[str, JsonValue], ...] = (
    {"prompt_logprobs": MOST_LISTED, "max_tokens": 1, **_WHOLE},
    {**_ECHO, "logprobs": MOST_LISTED, **_WHOLE},
    {"prompt_logprobs": MOST_LISTED, "max_tokens": 1},
    {**_ECHO, "logprobs": MOST_LISTED},
    {"echo": True, "logprobs": FEW_LISTED, "max_tokens": 1},
)
_NEUTRAL = 2
_PASSING = frozenset({402, 408, 425, 429})  # no credit, no time: nothing about texts


class Scores(Frozen):
    """What was told of every token of a text but the first; None with the reason where nothing was."""

    told: Told | None = None
    lost: str = ""
    way: int = 0

    @property
    def neutral(self) -> bool:
        """Whether the host was told to add no cut-off and no penalty, and took it."""
        return self.way < _NEUTRAL


async def ask_scores(client: Client, ids: Ids, way: int, item: str) -> Scores:
    """Give a host a text as ids and read what it tells of each token; ``way`` first."""
    problem = "nothing was told"
    for number in range(way, len(_WAYS)):
        body: dict[str, object] = {"prompt": list(ids), "temperature": 1.0, "stream": False, **_WAYS[number]}
        if client.address.model:
            body["model"] = client.address.model
        try:
            answer = await client.ask(body, item, path="/completions")
        except EndpointUnreachable as error:
            return Scores(lost=UNREACHED + safe_line(error.problem, 200), way=way)
        except EndpointRefused as error:
            return Scores(lost=safe_line(error.problem, 200), way=way)
        if answer.ok:
            told = read_scores(answer, ids)
            if told:
                return Scores(told=told, way=number)
        elif answer.status in _PASSING or answer.status >= 500:
            return Scores(lost=UNREACHED + answer.complaint, way=way)
        else:
            problem = f"refused: {answer.complaint}"
    return Scores(lost=problem, way=way)


def read_scores(answer: Answer, ids: Ids) -> Told | None:
    """What an answer tells of ``ids[1:]``; None unless it speaks of each of them, by id or by its bytes, and of nothing else.

    A first token with a score, or a bill of other tokens than were sent, is another prompt.
    """
    usage = answer.reply.get("usage")
    billed = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    choices = answer.reply.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    listed = choice.get("prompt_logprobs", answer.fields().get("prompt_logprobs"))
    if billed is not None and billed != len(ids):
        return None
    if isinstance(listed, list):
        places = [_place(entry, own) for entry, own in zip(listed[1:], ids[1:], strict=False)]
        whole = len(listed) == len(ids) and not listed[0] and all(places)
        return Told.of([place or [] for place in places]) if whole else None
    entries = told_entries(choice)
    first = entries[0] if entries and isinstance(entries[0], dict) else {"logprob": 0.0}
    if (
        not len(ids) <= len(entries) <= len(ids) + 1 or first.get("logprob") is not None
    ):  # the token asked for comes behind
        return None
    return read_told({"logprobs": {"content": entries[1 : len(ids)]}})


def way_of_scores(body: Mapping[str, Any]) -> int:
    """In which way a stored request was sent."""
    return next(
        (n for n, way in enumerate(_WAYS) if all(body.get(name) == value for name, value in way.items())),
        len(_WAYS) - 1,
    )


def _place(entry: Any, own: int) -> list[Pair] | None:
    """The token itself first, then the others; None where it is not among them."""
    if not isinstance(entry, dict) or len(entry) > 4 * MOST_LISTED:
        return None
    found: dict[int, float] = {}
    for name, value in entry.items():
        pair = read_pair(name, value.get("logprob") if isinstance(value, dict) else None)
        if pair is None:
            return None
        found[pair[0]] = pair[1]
    if own not in found:
        return None
    return [(own, found.pop(own)), *found.items()]
