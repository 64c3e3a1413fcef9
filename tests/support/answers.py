"""Answers of hosts in any shape: sound ones of every protocol, with whatever a host may put in place of any of their fields."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator, Sequence
from typing import Any

from hypothesis import strategies as st

from harness.targets.endpoint.address import parse_address
from harness.targets.endpoint.client import Client
from harness.targets.endpoint.transport import Answer

_TOP = [{"id": n, "token": f" t{n}", "logprob": -0.5 - n, "bytes": [32, 116, 48 + n]} for n in range(5)]
_ENTRY = {"id": 0, "token": " t0", "logprob": -0.5, "bytes": [32, 116, 48], "top_logprobs": _TOP}
_USAGE = {
    "prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10, "prompt_tokens_details": {"cached_tokens": 0},
}  # fmt: skip
_CALL = {"id": "a", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Rome"}'}}
_AROUND = {"id": "c", "created": 1, "model": "m", "system_fingerprint": "f", "usage": _USAGE}


def _chat(**choice: Any) -> dict[str, Any]:
    sound = {"index": 0, "message": {"role": "assistant", "content": " t0"}, "finish_reason": "stop"}
    return {**_AROUND, "choices": [sound | choice]}


_TOLD = _chat(logprobs={"content": [_ENTRY, _ENTRY]}, token_ids=[0, 1])
_NAMED = _chat(
    logprobs={
        "content": [
            {**_ENTRY, "id": None, "token": "token_id:0", "top_logprobs": [{"token": "token_id:3", "logprob": -1}]}
        ]
    }
)
_CALLS = _chat(message={"role": "assistant", "content": None, "tool_calls": [_CALL, _CALL]}, finish_reason="tool_calls")
_THOUGHT = _chat(
    message={"content": "x", "reasoning_content": "y", "reasoning_details": [{"type": "reasoning.text", "text": "z"}]}
)
_PARTS = _chat(
    message={
        "content": [{"type": "text", "text": "a"}, {"type": "thinking", "thinking": [{"type": "text", "text": "b"}]}]
    }
)
_LEGACY = {
    **_AROUND, "choices": [{"text": " t0", "finish_reason": "length", "logprobs": {
        "tokens": [" t0", " t1", " t2", " t3"], "token_logprobs": [None, -1.0, -2.0, -1.0],
        "top_logprobs": [None, {" t1": -1.0}, {" t2": -2.0}, {" t3": -1.0}],
    }, "prompt_logprobs": [None, {"7": {"logprob": -1.0, "rank": 1}}, {"8": {"logprob": -1.0}}]}],
}  # fmt: skip
_LLAMACPP = {
    "content": " t0", "tokens": [0], "stop": True, "stop_type": "limit", "tokens_evaluated": 9, "tokens_predicted": 1,
    "completion_probabilities": [_ENTRY], "model": "m",
}  # fmt: skip
_PAGES = {
    "default_generation_settings": {}, "build_info": "b1", "chat_template": "x", "version": "1", "model_path": "x",
    "tokenizer_path": "x", "data": [{"id": "m"}], "tokens": [1, 2], "prompt": "x", "router": "text-generation", "model_id": "m",
}  # fmt: skip
_EVENTS = [
    {
        **_AROUND,
        "choices": [{"index": 0, "delta": {"role": "assistant", "content": " t0"}, "logprobs": {"content": [_ENTRY]}}],
    },
    {**_AROUND, "choices": [{"index": 0, "delta": {"tool_calls": [_CALL | {"index": 0}]}, "token_ids": [0]}]},
    {**_AROUND, "choices": [{"index": 0, "delta": {"reasoning": "x"}, "finish_reason": "stop"}]},
    {**_AROUND, "choices": []},
]
#: Sound answers of every protocol; those in a list go out as the events of a stream.
SOUND: tuple[Any, ...] = (
    _chat(), _TOLD, _NAMED, _CALLS, _THOUGHT, _PARTS, _LEGACY, _LLAMACPP, _PAGES, _EVENTS, {"version": "1"},
    {"error": {"message": "Provider returned error", "code": 429}}, {"detail": [{"loc": ["body"]}]},
    {**_AROUND, "choices": [{"error": {"code": "503", "message": "busy"}, "message": {"content": ""}}]},
)  # fmt: skip
#: What hosts write where something else belongs.
_ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2.5, 1 << 24, 1 << 70, -(1 << 70), 1e308, float("nan"), float("inf"), float("-inf"), "", "x",
    "-0.5", "NaN", "\ud800", "\x00", [], [None], ["x"], [[]], [{}], {}, {"x": None}, {"text": "x"}, [1, "2", None],
    [{"token": None, "logprob": None}], "0" * 5000, [-1], [1 << 30], ["²"], "²", "token_id:²",
)  # fmt: skip
_REMOVED = object()


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place inside a JSON value, itself first."""
    yield path
    if isinstance(value, dict):
        for name, part in value.items():
            yield from places(part, (*path, name))
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from places(part, (*path, number))


def put(value: Any, path: tuple[Any, ...], odd: Any) -> Any:
    """The value with something else at one place, or with nothing there."""
    if not path:
        return None if odd is _REMOVED else odd
    value = copy.deepcopy(value)
    within = value
    for key in path[:-1]:
        within = within[key]
    if odd is _REMOVED:
        del within[path[-1]]
    else:
        within[path[-1]] = odd
    return value


def odd_answer(seed: int) -> Answer:
    """An answer: a sound one with up to three places changed, as JSON or as a stream, now and then cut off or no success.

    By a seed, because drawing every place by itself would take ten times as long.
    """
    chance = random.Random(seed)
    value = chance.choice(SOUND)
    for _ in range(chance.randint(0, 3)):
        value = put(value, chance.choice(list(places(value))), chance.choice((_REMOVED, *_ODD)))
    if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
        end = chance.choice(["data: [DONE]\n\n", "", "data: {broken\n\n", 'data: {"error": "x"}\n\n'])
        body = "".join(f"data: {json.dumps(event)}\n\n" for event in value) + end
    else:
        body = json.dumps(value)
    whole = body.encode()
    cut = chance.randrange(len(whole) + 1) if chance.random() < 0.05 else len(whole)
    return Answer(chance.choice([200] * 12 + [400, 404, 422, 429, 500, 503]), {}, whole[:cut], 0.01)


def answers() -> st.SearchStrategy[Answer]:
    """Answers of hosts in any shape."""
    return st.integers(0, 2**40).map(odd_answer)


class _Scripted:
    """In place of the network: the answers of a script, over and over."""

    def __init__(self, script: Sequence[Answer]) -> None:
        self._script, self._next = script, 0

    async def send(self, method: str, url: str, content: bytes | None) -> Answer:
        del method, url, content
        self._next += 1
        given = self._script[(self._next - 1) % len(self._script)]
        return Answer(given.status, given.headers, given.body, given.seconds)

    def without_key(self, data: bytes) -> bytes:
        return data

    async def close(self) -> None:
        pass


async def _no_sleep(_: float) -> None:
    pass


def scripted_client(script: Sequence[Answer]) -> Client:
    """A client whose host answers by a script, whatever it is asked."""
    client = Client(parse_address("http://127.0.0.1:9/v1#m"), sleep=_no_sleep, jitter=random.Random(0).random)
    client._transport = _Scripted(script)  # type: ignore[assignment]
    return client
