"""Replies of a model that thinks, put together again from whatever field or marks they came in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from harness.prompting.evidence import family_of
from harness.prompts.conversation import Conversation, Dialect
from harness.prompts.jinja.process import PromptProcess
from harness.prompts.thoughts import (
    USUAL,
    Marks,
    learn_marks,
    looks_alike,
    put_together,
    taken_apart,
    with_blanks_of,
    without_doubled,
)
from harness.prompts.variants import Bench
from harness.targets.checkpoint.target import CheckpointTarget
from harness.targets.endpoint.replies import Reply
from harness.targets.prompt_source import PromptSource

Ids = tuple[int, ...]

_ASKED: dict[str, JsonValue] = {"role": "user", "content": "Is it granite?"}
_REASONING, _ANSWER = "Quartzfeldspar", "Willowherb"


def marks_of(source: PromptSource, clock: str) -> Marks:
    """The marks around reasoning in a reference's replies, from three renderings of its template."""
    turn: dict[str, JsonValue] = {"role": "assistant", "content": _ANSWER}
    with PromptProcess() as process:
        bench = Bench(process, family_of(source), source.tokenizer, Dialect(clock=clock))
        made = bench.prompts([
            Conversation(messages=(_ASKED,)),
            Conversation(messages=(_ASKED, turn), generation=False),
            Conversation(messages=(_ASKED, {**turn, "reasoning_content": _REASONING}), generation=False),
        ])  # fmt: skip
    asked, answered, thought = (prompt.text or "" for prompt in made)
    return learn_marks(asked, answered, thought, _REASONING, _ANSWER)


def _billed(reply: Reply, came: int) -> int | None:
    """Tokens of a reply as its bill has them: some hosts bill reasoning beside the answer."""
    if reply.billed is None or reply.billed >= came:
        return reply.billed
    beside = reply.billed + reply.reasoned
    whole = reply.total - reply.prompt if reply.total is not None and reply.prompt is not None else beside
    return next((count for count in (beside, whole) if count in {came, came + 1}), reply.billed)


class Thinking:
    """How the replies of one host are put together; one rule holds for all of them, found in the first round."""

    def __init__(self, marks: Marks, target: CheckpointTarget, silent: NDArray[np.bool_]) -> None:
        self._marks, self._target, self._silent = marks, target, silent
        self._apart = self._doubled = False
        self._settled = False

    @property
    def apart(self) -> bool:
        """Whether the host returns reasoning in a field of its own."""
        return self._apart

    @property
    def doubled(self) -> bool:
        """Whether the host puts the opening mark in front of replies, though it stands in the prompt."""
        return self._doubled

    def whole(self, replies: Sequence[Reply]) -> list[Reply]:
        """Replies with the raw text that stands for what was seen."""
        if not self._settled:
            self._settle(replies)
        return [self._whole(reply) for reply in replies]

    def by_ids(self, replies: Sequence[Reply]) -> list[Reply]:
        """Replies whose ids spell, taken apart, what was seen: with the raw text that the ids spell.

        Ids of the answer alone are no ids of a reply, and are left out.
        """
        if not self._apart and not self._doubled:
            return list(replies)
        found = []
        heard = [self._unstopped(reply.ids or ()) for reply in replies]
        for reply, said in zip(replies, self._target.said(heard), strict=True):
            seen = taken_apart(reply.text, self._marks)
            if reply.ids and looks_alike(seen, said, self._marks):
                found.append(reply.model_copy(update={"text": said, "billed": _billed(reply, len(reply.ids))}))
            elif reply.ids and reply.thought and said.strip() == seen[1]:
                found.append(reply.model_copy(update={"ids": None, "told": None}))
            elif (
                reply.ids
            ):  # some ids were left out, or this is no such reply: the text tells, with the blanks that came
                text = put_together(*seen, with_blanks_of(said, self._marks))
                found.append(reply.model_copy(update={"text": text}))
            else:
                found.append(reply)
        return found

    def again(self, replies: Sequence[Ids]) -> list[str | Ids]:
        """Local replies as this host would have shown them, put together again."""
        if not self._apart:
            return list(replies)
        heard = [self._unstopped(reply) for reply in replies]
        return [put_together(*taken_apart(said, self._marks), self._marks) for said in self._target.said(heard)]

    def _unstopped(self, ids: Ids) -> Ids:
        """Ids without the stop at their end, which no text shows; pieces of characters before it are a part of the text."""
        last = ids[-1] if ids else len(self._silent)
        return ids[:-1] if last < len(self._silent) and self._silent[last] else ids

    def _settle(self, replies: Sequence[Reply]) -> None:
        told = [reply for reply in replies if not reply.lost]
        self._apart = any(reply.thought for reply in told)
        if self._apart and not self._marks:
            self._marks = USUAL
        written = [reply for reply in told if reply.text.strip()]
        begin = self._marks.begin if self._marks.opened else ""
        self._doubled = bool(begin and written) and all(reply.text.lstrip().startswith(begin) for reply in written)
        self._settled = bool(told)

    def _whole(self, reply: Reply) -> Reply:
        if self._doubled:
            return reply.model_copy(update={"text": without_doubled(reply.text, self._marks)})
        if not self._apart:
            return reply
        return reply.model_copy(update={"text": put_together(reply.thought, reply.text, self._marks)})
