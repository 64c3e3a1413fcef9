"""Requests of tasks, answered by an endpoint: replies by chat or by prompts, probabilities where the host scores texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from harness.errors import EndpointUnreachable
from harness.redact import safe_line
from harness.suites.requests import Answered, Asked, Continuation, Scored, Writing, Written
from harness.targets.endpoint.client import Client
from harness.targets.endpoint.prompt_scores import ask_scores
from harness.targets.endpoint.replies import read_reply

_STOPS = 4  # that OpenAI's API takes; the others are found in the text
_NO_SCORES = "the host does not score texts: log-likelihoods are not testable"
Pair = tuple[list[int], list[int]]
Told = tuple[int | str, float]


class EndpointAnswers:
    """Asks a host, ``rows`` requests at a time. ``encode`` turns continuations into ids with the reference's tokenizer."""

    def __init__(
        self, client: Client, rows: int, encode: Callable[[Sequence[Continuation]], list[Pair]], seed: int
    ) -> None:
        self._client, self.rows, self._encode, self._seed = client, rows, encode, seed
        self._way = 0  # of asking for scores, once a host has taken one
        self._silent = False  # whether it scores nothing

    def answer(self, asked: Sequence[Asked]) -> list[Answered]:
        """One answer per request, in their order; what the host does not do is lost, with the reason."""
        found: dict[int, Answered] = {}
        writing = [(place, one) for place, one in enumerate(asked) if isinstance(one, Writing)]
        jobs = [partial(self._written, one) for _, one in writing]
        for number, answer in self._client.together(jobs):
            found[writing[number][0]] = answer
        scored = [(place, one) for place, one in enumerate(asked) if isinstance(one, Continuation)]
        found |= zip((place for place, _ in scored), self._scores([one for _, one in scored]), strict=True)
        lost = Scored(lost="whole texts are not asked of endpoints: their perplexity is not testable")
        return [found.get(place, lost) for place in range(len(asked))]

    async def _written(self, one: Writing) -> Written:
        if one.opening.begun:
            return Written(lost="a host cannot be asked to go on with an answer that is begun")
        body: dict[str, object] = {
            "max_tokens": one.limit,
            "temperature": one.temperature,
            "stream": False,
            "seed": self._seed,
        }
        if one.opening.text is None:
            body["messages"] = [message.model_dump(mode="json") for message in one.opening.messages]
        else:
            body["prompt"] = one.opening.text
        if one.until:
            body["stop"] = list(one.until[:_STOPS])
        if self._client.address.model:
            body["model"] = self._client.address.model
        path = "/completions" if "prompt" in body else "/chat/completions"
        try:
            answer = await self._client.ask(body, one.key, drawn=True, path=path)
        except EndpointUnreachable as error:
            return Written(lost=safe_line(error.problem, 200))
        if not answer.ok:
            return Written(lost=f"refused: {answer.complaint}")
        reply = read_reply(answer)
        if reply.lost:
            return Written(lost=reply.lost)
        end = min(
            (place for stop in one.until if stop and (place := reply.text.find(stop)) >= 0), default=len(reply.text)
        )
        ended = "length" if reply.finish == "length" and end == len(reply.text) else "stop"
        return Written(text=reply.text[:end], finish=ended, tokens=reply.billed or 0)

    def _scores(self, asked: Sequence[Continuation]) -> list[Scored]:
        """Texts as ids, and what the host gives their last tokens; a host that scores nothing is not asked again."""
        if not asked or self._silent:
            return [Scored(lost=_NO_SCORES) for _ in asked]
        pairs = self._encode(asked)
        found: dict[int, Scored] = {}
        for part in ([0], range(1, len(pairs))):  # the first says in which way
            places = [place for place in part if pairs[place][0] and pairs[place][1]]
            ids = [tuple(pairs[place][0] + pairs[place][1]) for place in places]
            jobs = [partial(ask_scores, self._client, one, self._way, asked[place].key)
                    for place, one in zip(places, ids, strict=True)]  # fmt: skip
            for number, scores in self._client.together(jobs):
                self._way = max(self._way, scores.way if scores.told else 0)
                tail = len(pairs[places[number]][1])
                told = scores.told.pairs()[-tail:] if scores.told else []
                found[places[number]] = _scored(told, scores.lost)
            if list(part) == [0] and 0 in found and found[0].lost:
                self._silent = found[0].lost.startswith(("refused", "nothing"))
                if self._silent:
                    return [Scored(lost=_NO_SCORES) for _ in asked]
        return [found.get(place, Scored(lost="the continuation adds no token")) for place in range(len(asked))]


def _scored(told: Sequence[Sequence[Told]], lost: str) -> Scored:
    """What the host says of each token of a continuation; the token itself stands first in its list."""
    if lost or not told or not all(told):
        return Scored(lost=lost or "nothing was told of some tokens")
    own = [place[0][1] for place in told]
    greedy = all(place[0][1] >= max(log for _, log in place) for place in told)
    return Scored(logs=tuple(own), greedy=greedy)
