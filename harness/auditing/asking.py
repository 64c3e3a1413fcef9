"""Questions go out, replies come back, and what of them can be scored is decided: by rules, never by what they say."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.observations.events import Event, TargetFinished, TargetStarted, TokensScored
from harness.prompts.conversation import Conversation
from harness.prompts.faults import fault
from harness.prompts.sequences import Sequence as Scored
from harness.prompts.sequences import reply_sequence
from harness.prompts.variants import Bench
from harness.targets.checkpoint.target import CheckpointTarget
from harness.targets.endpoint.client import Client
from harness.targets.endpoint.replies import Reply, ask_reply

#: Why replies without ids are not scored yet: another cut of the same text has another probability.
NO_IDS = "the host does not tell the ids of its tokens"
PARTED = "the host keeps a part of what the model writes out of the text"


@dataclass(frozen=True, slots=True)
class Scorable:
    """The part of a reply that counts: ids up to and with the first silent token; ``lost`` says why there is none."""

    ids: tuple[int, ...] = ()
    lost: str = ""


def ask_all(client: Client, questions: Sequence[Conversation], tokens: int) -> Generator[Event, None, list[Reply]]:
    """Ask every question once, in plan order."""
    way = 0
    replies: list[Reply] = []
    yield TargetStarted(client.address.shown, "endpoint", tokens * len(questions))
    seconds = 0.0
    for question in questions:
        reply, way = ask_reply(client, question, tokens, way)
        replies.append(reply)
        yield TokensScored(client.address.shown, tokens)
    yield TargetFinished(client.address.shown, seconds)
    return replies


def scorable(
    replies: Sequence[Reply], target: CheckpointTarget, silent: NDArray[np.bool_], stop: int
) -> list[Scorable]:
    """What of each reply can be scored.

    Ids count up to the first silent one (a stop, a control token, a piece of a character), which ends the reply. They
    must spell the text up to there. Where ids are missing against the bill, the host left silent ones out: the reply ends
    where the ids cease to spell the text. Anything else is lost, because nobody knows what was said.
    """
    given = [reply.ids or () for reply in replies]
    heard = [_until_silent(ids, silent) for ids in given]
    spelled = target.spelled([(ids, reply.text) for ids, reply in zip(heard, replies, strict=True)])
    found = []
    for reply, ids, said, (length, whole) in zip(replies, given, heard, spelled, strict=True):
        ended = len(said) < len(ids)  # a silent id came
        if reply.lost:
            found.append(Scorable(lost=reply.lost))
        elif reply.ids is None and reply.text:
            found.append(Scorable(lost=NO_IDS))
        elif any(token >= len(silent) for token in ids):
            found.append(Scorable(lost="an id that the reference's tokenizer does not know"))
        elif length == len(said) and (whole or ended):
            stopped = ended or reply.finish == "stop"
            found.append(Scorable((*said, ids[len(said)] if ended else stop) if stopped else said))
        elif reply.billed is not None and len(ids) < reply.billed:
            found.append(Scorable((*said[:length], stop)))
        else:
            found.append(Scorable(lost="the ids do not spell the text"))
    return found


def _until_silent(ids: tuple[int, ...], silent: NDArray[np.bool_]) -> tuple[int, ...]:
    for place, token in enumerate(ids):
        if token < len(silent) and silent[token]:
            return ids[:place]
    return ids


def render_all(
    bench: Bench, questions: Sequence[Conversation], replies: Sequence[Scorable], faults: Sequence[str]
) -> dict[str, list[Scored]]:
    """Prompts with their replies as sequences, per fault of the prompt ("" for none); all hold the same replies.

    A prompt that the fault leaves as it is, or that cannot be rendered under it, is the sound one: its ratio is 1.
    """
    renderings: dict[str, list[Scored]] = {}
    sound = [prompt.ids or () for prompt in bench.prompts(questions)]
    for name in ("", *faults):
        made = bench.prompts(questions, [fault(name)]) if name else []
        prompts = [one.ids or ours for one, ours in zip(made, sound, strict=True)] if name else sound
        renderings[name] = [
            reply_sequence(f"reply-{number:04d}", "audit", f"reply-{number:04d}", prompt, (0,) * len(prompt), reply.ids)
            for number, (prompt, reply) in enumerate(zip(prompts, replies, strict=True))
            if reply.ids
        ]
    return renderings
