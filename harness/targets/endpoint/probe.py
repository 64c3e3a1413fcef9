"""What an endpoint can do, found out by what it does: at most 20 cheap requests, a parameter that is ignored is told so."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from functools import partial
from typing import Any

from harness.errors import EndpointUnreachable
from harness.prompts.thoughts import written
from harness.redact import safe_line
from harness.suites.model import Frozen
from harness.targets.endpoint.chat import prompt_tokens
from harness.targets.endpoint.client import Answer, Client
from harness.targets.endpoint.engines import recognise
from harness.targets.endpoint.reasoning import read_thought
from harness.targets.endpoint.stream import read_stream

_ASKED = "Tell me something unusual about the sea, in one long sentence."
_TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Current weather of a city, with temperature, wind, rain, and a short forecast in words.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
_SAME = 1e-3  # nats up to which log-probabilities of two requests are the same
_NEAR_TWICE = 0.1


class State(StrEnum):
    """What a probe saw. ``IGNORED``: taken without complaint and without effect. ``UNKNOWN``: it could not be told."""

    YES = "yes"
    NO = "no"
    IGNORED = "ignored"
    UNKNOWN = "unknown"


class Capability(Frozen):
    """One row of the capability table."""

    name: str
    state: State
    detail: str = ""


class Profile(Frozen):
    """What an endpoint can do, and the engine that it seems to be; an engine's own word is not checked."""

    endpoint: str
    engine: str
    models: tuple[str, ...]
    requests: int
    capabilities: tuple[Capability, ...]

    def state(self, name: str) -> State:
        """The state of one capability; UNKNOWN for one that was not probed."""
        return next((one.state for one in self.capabilities if one.name == name), State.UNKNOWN)


def probe(client: Client) -> Profile:
    """Ask for very little, many ways; raises EndpointUnreachable if nothing answers at all."""
    before = client.sent
    models = _models(client.get("/v1/models"))
    engine = recognise(client)
    found = _Probe(client)
    for step in (found.plain, found.logprobs, found.tempered, found.scoring, found.seeds, found.choices, found.stop,
                 found.bias, found.tools, found.json_mode, found.stream, found.unknown_field):  # fmt: skip
        step()
    return Profile(
        endpoint=client.address.shown,
        engine=safe_line(f"{engine.name} {engine.version}".strip(), 80) if engine else "",
        models=models,
        requests=client.sent - before,
        capabilities=(*found.rows, Capability(name="prompts shown", state=State.YES if engine else State.NO)),
    )


def _models(answer: Answer) -> tuple[str, ...]:
    listed = answer.fields().get("data")
    ids = [one.get("id") for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    return tuple(safe_line(one, 120) for one in ids[:50] if isinstance(one, str))


class _Probe:
    """Requests one after the other; every method adds rows."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.rows: list[Capability] = []
        self._bare: Answer | None = None
        self._top: list[dict[str, Any]] = []

    def plain(self) -> None:
        """One token, nothing special: whether it answers, bills and stops where it was told to."""
        answer = self._bare = self._ask({"max_tokens": 1, "temperature": 0})
        usage = answer.fields().get("usage")
        told = usage if isinstance(usage, dict) else {}
        self._add("chat", State.YES if _choice(answer) else State.NO, "" if answer.ok else answer.complaint)
        self._add("usage", State.YES if prompt_tokens(answer) is not None else State.NO)
        written = told.get("completion_tokens")
        if type(written) is int:
            self._add("max_tokens", State.YES if written <= 1 else State.IGNORED, f"{written} of 1 token billed")
        details = told.get("prompt_tokens_details")
        cached = isinstance(details, dict) and "cached_tokens" in details
        self._add("cached tokens told", State.YES if cached else State.NO)

    def logprobs(self) -> None:
        """Log-probabilities, how many of them, and ids beside them."""
        answer = self._ask(
            {"max_tokens": 1, "temperature": 1, "logprobs": True, "top_logprobs": 20, "return_token_ids": True}
        )
        if not answer.ok:
            answer = self._ask({"max_tokens": 1, "temperature": 1, "logprobs": True, "top_logprobs": 5})
        self._top = _top(answer)
        state = State.YES if self._top else State.IGNORED if answer.ok else State.NO
        self._add(
            "logprobs", state, f"{len(self._top)} at a place" if self._top else answer.complaint * (not answer.ok)
        )
        ids = all(type(one.get("id")) is int for one in self._top) if self._top else False
        self._add("token ids", State.YES if ids or "token_ids" in _choice(answer) else State.NO)

    def tempered(self) -> None:
        """Whether log-probabilities are the model's own or those after the temperature."""
        if len(self._top) < _FEW:
            return
        cold = _named(
            _top(self._ask({"max_tokens": 1, "temperature": 0.5, "logprobs": True, "top_logprobs": len(self._top)}))
        )
        warm = _named(self._top)
        shared = [name for name in cold if name in warm][:_COMPARED]
        if not shared:
            detail = "they come with some answers only" if not cold else "the second answer lists other tokens"
            self._add("logprobs before the temperature", State.UNKNOWN, detail)
            return
        first = shared[0]
        gaps = [(warm[name] - warm[first], cold[name] - cold[first]) for name in shared[1:]]
        rates = [after / before for before, after in gaps if abs(before) > _SAME]
        if rates and all(abs(rate - 1) < _NEAR_TWICE for rate in rates):
            self._add("logprobs before the temperature", State.YES)
        elif rates and all(abs(rate - 2) < 2 * _NEAR_TWICE for rate in rates):
            self._add("logprobs before the temperature", State.NO, "they are scaled by it")
        else:
            self._add("logprobs before the temperature", State.UNKNOWN)

    def scoring(self) -> None:
        """Whether a given text can be scored, and whether ids are taken as a prompt."""
        body = {"prompt": "The cat sat on the mat.", "max_tokens": 1, "echo": True, "logprobs": 1}
        answer = self._send(body, "/completions")
        logs = _choice(answer).get("logprobs")
        told = logs.get("token_logprobs") if isinstance(logs, dict) else None
        scored = isinstance(told, list) and len(told) > _FEW
        state = State.YES if scored else State.IGNORED if _choice(answer) else State.NO
        self._add("prompt scoring", state)
        answer = self._send({"prompt": [1, 2, 3], "max_tokens": 1}, "/completions")
        count = prompt_tokens(answer)
        self._add("ids as prompt", State.YES if count in {3, 4} else State.NO if not answer.ok else State.UNKNOWN)

    def seeds(self) -> None:
        """The same seed twice, then another: whether it decides the text, and whether texts are drawn at all."""
        body = {"max_tokens": 16, "temperature": 1}
        first, again, other = (_text(self._ask(body | {"seed": seed})) for seed in (11, 11, 12))
        if not first:
            self._add("seed", State.UNKNOWN)
        elif first != again:
            self._add("seed", State.IGNORED, "the same seed gave two texts")
        else:
            state = State.YES if other != first else State.UNKNOWN
            self._add("seed", state, "" if other != first else "every seed gives the same text: stored, or not sampled")

    def choices(self) -> None:
        """Several choices in one answer."""
        answer = self._ask({"max_tokens": 1, "temperature": 1, "n": 2})
        listed = answer.fields().get("choices")
        count = len(listed) if isinstance(listed, list) else 0
        self._add("n", State.YES if count == 2 else State.IGNORED if count == 1 else State.NO)

    def stop(self) -> None:
        """A stop string that an answer can hardly do without."""
        stops = [" ", "e", "a", "o"]
        answer = self._ask({"max_tokens": 12, "temperature": 0, "stop": stops})
        answered, whole = _answer(answer), _text(answer)
        kept = any(one in answered for one in stops)
        thought = not kept and any(one in whole for one in stops)  # some hosts look for it in the answer alone
        state = State.IGNORED if kept else State.UNKNOWN if thought else State.YES if answer.ok else State.NO
        self._add("stop", state, "the reply is reasoning alone" if thought else "")

    def bias(self) -> None:
        """The second likeliest token, made certain."""
        ids = [(one.get("id"), one.get("token")) for one in self._top]
        if len(ids) < _FEW or type(ids[-1][0]) is not int:
            self._add("logit_bias", State.UNKNOWN, "needs the ids of tokens")
            return
        wanted, shown = ids[-1]
        answer = self._ask({"max_tokens": 1, "temperature": 0, "logit_bias": {str(wanted): 100}})
        text = _text(answer)
        same = bool(text) and text.strip() == str(shown).strip()
        self._add("logit_bias", State.YES if same else State.IGNORED if answer.ok else State.NO)

    def tools(self) -> None:
        """A tool makes a prompt longer, unless it is dropped."""
        answer = self._ask({"max_tokens": 1, "temperature": 0, "tools": [_TOOL]})
        before, after = prompt_tokens(self._bare) if self._bare else None, prompt_tokens(answer)
        if before is None or after is None:
            self._add("tools", State.UNKNOWN if answer.ok else State.NO, "" if answer.ok else answer.complaint)
        else:
            self._add("tools", State.YES if after > before else State.IGNORED, f"{after - before:+d} prompt tokens")

    def json_mode(self) -> None:
        """An object, whatever the model would rather write."""
        answer = self._ask({"max_tokens": 24, "temperature": 0, "response_format": {"type": "json_object"}})
        text, thinks = _answer(answer).strip(), bool(_text(answer)) and not _answer(answer).strip()
        state = State.YES if text[:1] == "{" else State.UNKNOWN if thinks else State.IGNORED
        self._add("JSON mode", state if answer.ok else State.NO, "the reply is reasoning alone" if thinks else "")

    def stream(self) -> None:
        """Events instead of one answer, with a bill at the end."""
        body = {"max_tokens": 4, "temperature": 0, "stream": True, "stream_options": {"include_usage": True}}
        answer = self._ask(body)
        read = read_stream(answer.body) if answer.ok else None
        if read is None or not read.events:
            self._add("stream", State.NO if not answer.ok else State.IGNORED)
            return
        self._add("stream", State.YES, "; ".join(dict.fromkeys(read.problems)))
        self._add("usage in streams", State.YES if read.usage else State.NO)

    def unknown_field(self) -> None:
        """A field that nobody knows."""
        answer = self._ask({"max_tokens": 1, "temperature": 0, "fidelity_unknown_field": 1})
        self._add("unknown fields refused", State.NO if answer.ok else State.YES)

    def _ask(self, body: Mapping[str, object], question: str = _ASKED) -> Answer:
        return self._send({"messages": [{"role": "user", "content": question}], **body}, "/chat/completions")

    def _send(self, body: Mapping[str, object], path: str) -> Answer:
        """One request; a host that answers nothing to it has said no, but not to the very first."""
        if self._client.address.model:
            body = {"model": self._client.address.model, **body}
        try:
            ((_, answer),) = self._client.together([partial(self._client.ask, body, "probe", path=path)])
        except EndpointUnreachable as error:
            if self._bare is None:
                raise
            return Answer(0, {}, json.dumps({"error": error.problem}).encode(), 0.0)
        return answer

    def _add(self, name: str, state: State, detail: str = "") -> None:
        self.rows.append(Capability(name=name, state=state, detail=safe_line(detail, 120)))


_FEW = 3
_COMPARED = 6  # of the listed tokens, with the first


def _choice(answer: Answer) -> dict[str, Any]:
    listed = answer.fields().get("choices") if answer.ok else None
    return listed[0] if isinstance(listed, list) and listed and isinstance(listed[0], dict) else {}


def _text(answer: Answer) -> str:
    """All that was written: what a model thinks aloud counts, too."""
    message = _choice(answer).get("message")
    return written(read_thought(message).text, _answer(answer)) if isinstance(message, dict) else ""


def _answer(answer: Answer) -> str:
    """What stands behind the reasoning, where that is told apart."""
    message = _choice(answer).get("message")
    content = message.get("content") if isinstance(message, dict) else None
    return content if isinstance(content, str) else ""


def _top(answer: Answer) -> list[dict[str, Any]]:
    """The first token's likeliest alternatives, in the shape of chat answers."""
    logs = _choice(answer).get("logprobs")
    entries = logs.get("content") if isinstance(logs, dict) else None
    first = entries[0] if isinstance(entries, list) and entries and isinstance(entries[0], dict) else {}
    listed = first.get("top_logprobs")
    rows = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    return [one for one in rows if _number(one.get("logprob")) <= _SAME]  # a NaN is no log-probability


def _named(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Log-probabilities by the tokens' names, in the order in which they are listed."""
    return {str(one.get("token")): _number(one.get("logprob")) for one in rows}


def _number(value: Any) -> float:
    try:
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else float("nan")
    except OverflowError:
        return float("nan")
