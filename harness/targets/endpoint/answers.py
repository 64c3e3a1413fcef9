"""Requests of suites, answered by an endpoint: replies by chat or by prompts, calls of tools, scores where it scores texts."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from functools import partial

from harness.errors import BudgetSpent, EndpointRefused, EndpointUnreachable
from harness.redact import safe_line
from harness.suites.requests import UNREACHED, Answered, Asked, Called, Calling, Continuation, Scored, Writing, Written
from harness.targets.endpoint.calling import PASSING, calling_body, passing_failure, read_called
from harness.targets.endpoint.client import Client
from harness.targets.endpoint.plainer import NEUTRAL, REFUSABLE, Body, note, plainer, refused_fields
from harness.targets.endpoint.prompt_scores import Scores, ask_scores
from harness.targets.endpoint.replies import read_reply
from harness.targets.endpoint.told import Told
from harness.targets.endpoint.transport import Answer

_STOPS = 4  # that OpenAI's API takes; the others are found in the text
_FAILURES = (
    3  # texts in a row that a host has not scored, before it has scored any, after which it is not asked for more
)
_PLACEHOLDER = -9000.0  # what hosts write for "none"
_NO_CREDIT, _NOT_FOUND = 402, 404
Pair = tuple[list[int], list[int]]


class EndpointAnswers:
    """Asks a host, ``rows`` requests at a time. ``encode`` turns continuations into ids with the reference's
    tokenizer, where there is one.

    ``notes`` says what holds for all of its answers; ``ended`` why it is not asked any further.
    """

    def __init__(
        self, client: Client, rows: int, encode: Callable[[Sequence[Continuation]], list[Pair]] | None, seed: int
    ) -> None:
        self._client, self.rows, self._encode, self._seed = client, rows, encode, seed
        self._neutral = 0  # which of the neutral fields the host takes
        self._settled = False  # whether it has taken some
        self._left_out: set[str] = set()  # what it says that it does not know
        self._way = 0  # of asking for scores, once a host has taken one
        self._scored, self._failed = False, 0
        self.ended = ""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of its answers has to know."""
        told = "the host does not take word that it adds no penalty and no cut-off: what it adds counts as its own"
        return (*([told] if self._neutral > 1 else []), *([note(self._left_out)] if self._left_out else []))

    def answer(self, asked: Sequence[Asked]) -> list[Answered]:
        """One answer per request, in their order; what the host does not do is lost, with the reason."""
        found: dict[int, Answered] = {}
        replies = [(place, one) for place, one in enumerate(asked) if isinstance(one, Writing | Calling)]
        first = 1 if replies and not self._client.sent else 0  # the first alone finds out what the host takes
        for part in (replies[:first], replies[first:]):
            jobs = [partial(self._replied, one) for _, one in part]
            for number, answer in self._client.together(jobs):
                found[part[number][0]] = answer
        scored = [(place, one) for place, one in enumerate(asked) if isinstance(one, Continuation)]
        found |= zip((place for place, _ in scored), self._scores([one for _, one in scored]), strict=True)
        lost = Scored(lost="whole texts are not asked of endpoints: their perplexity is not testable")
        return [found.get(place, lost) for place in range(len(asked))]

    async def _replied(self, one: Writing | Calling) -> Written | Called:
        """One reply; what was not reached for a reason that may pass begins with ``UNREACHED``."""
        seed = zlib.crc32(f"{self._seed} {one.key}".encode())
        if isinstance(one, Calling):
            answer = await self._answer(calling_body(one, seed), one.key)
            return Called(lost=answer) if isinstance(answer, str) else read_called(answer, one)
        if one.opening.begun:
            return Written(lost="a host cannot be asked to go on with an answer that is begun")
        answer = await self._answer(_writing_body(one, seed), one.key)
        return Written(lost=answer) if isinstance(answer, str) else _read(answer, one)

    async def _answer(self, body: Body, key: str) -> Answer | str:
        """The host's answer, or why there is none."""
        if self.ended:
            return UNREACHED + self.ended
        if self._client.address.model:
            body["model"] = self._client.address.model
        try:
            answer = await self._ask(body, key)
        except (EndpointUnreachable, BudgetSpent) as error:
            return UNREACHED + self._over(error)
        except EndpointRefused as error:
            self.ended = error.problem
            return UNREACHED + safe_line(error.problem, 200)
        if not answer.ok:
            unknown = answer.status == _NOT_FOUND and not self._settled and "model" in answer.complaint.lower()
            if answer.status == _NO_CREDIT or unknown:  # nobody's answer
                self.ended = answer.complaint
                return UNREACHED + answer.complaint
            passing = answer.status in PASSING or answer.status >= 500
            return (UNREACHED if passing else "refused: ") + answer.complaint
        busy = passing_failure(answer)
        return UNREACHED + busy if busy else answer

    async def _ask(self, body: Body, item: str) -> Answer:
        """In the fullest neutral way that the host takes, and without what it says that it does not know.

        Once it has taken a request, what it refuses is about something else, unless it names a field.
        """
        path = "/completions" if "prompt" in body else "/chat/completions"
        ways = NEUTRAL[self._neutral : self._neutral + 1 if self._settled else None]
        for _ in range(len(REFUSABLE) + 1):
            simple = plainer(body, self._left_out)
            for way in ways:
                answer = await self._client.ask(simple | way, item, drawn=True, path=path)
                if answer.ok:
                    self._neutral, self._settled = max(self._neutral, NEUTRAL.index(way)), True
                if answer.status not in {400, 422}:
                    return answer
            named = {name for name in refused_fields(answer.complaint) if plainer(simple, {name}) != simple}
            if not named:
                return answer
            self._left_out |= named
        return answer

    def _over(self, error: EndpointUnreachable | BudgetSpent) -> str:
        if isinstance(error, BudgetSpent):
            self.ended = error.problem
        return safe_line(error.problem, 200)

    def _scores(self, asked: Sequence[Continuation]) -> list[Scored]:
        """Texts as ids, and what the host gives their last tokens."""
        if not asked or self._encode is None:
            return [Scored(lost="without the reference's tokenizer texts are not cut into what is scored")] * len(asked)
        pairs = self._encode(asked)
        found: dict[int, Scored] = {}
        places = [place for place, (opening, tail) in enumerate(pairs) if opening and tail]
        for part in (places[:1], places[1:]) if not self._scored else ([], places):
            if self._failed >= _FAILURES and not self._scored:
                break
            jobs = [partial(self._score, asked[place].key, tuple(pairs[place][0] + pairs[place][1])) for place in part]
            for number, scores in self._client.together(jobs):
                place = part[number]
                found[place] = _scored(scores.told, len(pairs[place][1]), scores.lost)
                self._scored = self._scored or scores.told is not None
                self._failed += scores.told is None and not scores.lost.startswith(UNREACHED)
                self._way = max(self._way, scores.way if scores.told else 0)
        silent = Scored(
            lost=(UNREACHED + self.ended)
            if self.ended
            else "the host scores no texts: log-likelihoods are not testable"
        )
        empty = Scored(lost="the continuation adds no token")
        return [found.get(place, silent if place in places else empty) for place in range(len(asked))]

    async def _score(self, key: str, ids: tuple[int, ...]) -> Scores:
        if self.ended:
            return Scores(lost=UNREACHED + self.ended)
        try:
            return await ask_scores(self._client, ids, self._way, key)
        except BudgetSpent as error:
            return Scores(lost=UNREACHED + self._over(error))


def _writing_body(one: Writing, seed: int) -> Body:
    body: Body = {
        "max_tokens": one.limit,
        "temperature": one.temperature,
        "stream": False,
        "seed": seed,
    }
    if one.opening.text is None:
        body["messages"] = [message.model_dump(mode="json") for message in one.opening.messages]
    else:
        body["prompt"] = one.opening.text
    if one.until:
        body["stop"] = list(one.until[:_STOPS])
    return body


def _read(answer: Answer, one: Writing) -> Written:
    """An answer as a reply; what is no whole text of the model's is lost, and says why."""
    reply = read_reply(answer)
    if reply.lost:
        return Written(lost=reply.lost)
    if reply.withheld or reply.thought:
        return Written(lost="the host keeps a part of what the model wrote out of the text (reasoning or tool calls)")
    if reply.finish not in {"stop", "length", ""}:
        return Written(lost=f"the host ended the reply as {reply.finish!r}")
    end = min((place for stop in one.until if stop and (place := reply.text.find(stop)) >= 0), default=len(reply.text))
    ended = "length" if reply.finish == "length" and end == len(reply.text) else "stop"
    return Written(text=reply.text[:end], finish=ended, tokens=reply.billed or 0)


def _scored(told: Told | None, tail: int, lost: str) -> Scored:
    """What the host says of each token of a continuation; the token itself stands first in its list."""
    if lost or told is None:
        return Scored(lost=lost or "nothing was told")
    places = told.pairs()[-tail:]
    own = [place[0][1] for place in places if place]
    if len(own) < tail or bool(told.unsound()[-tail:].any()) or min(own) <= _PLACEHOLDER:
        return Scored(lost="what the host tells of some tokens is no log-probability")
    if any(len(place) < 2 for place in places):
        return Scored(lost="the host lists no other tokens: whether it would write this text is not known")
    return Scored(logs=tuple(own), greedy=all(place[0][1] >= max(log for _, log in place) for place in places))
