"""What of a reply counts as evidence: decided by ids, text, bill and finish reason, never by what it says.

A reply that cannot be read for certain is *lost*, which counts against every member of the bank and never for one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.redact import safe_line
from harness.targets.checkpoint.target import CheckpointTarget
from harness.targets.endpoint.extras import Extras
from harness.targets.endpoint.replies import Reply

#: A reply of so many characters for each token that was asked for is no reply to this request.
_MOST_PER_TOKEN = 200

_BROKEN = "\ufffd"

Ids = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Scorable:
    """The part of a reply that counts: ids up to and with the first silent token; ``lost`` says why there is none."""

    ids: Ids = ()
    lost: str = ""


def until_silent(ids: Ids, silent: NDArray[np.bool_]) -> Ids:
    """Ids up to and with the first silent one."""
    for place, token in enumerate(ids):
        if token < len(silent) and silent[token]:
            return ids[: place + 1]
    return ids


def of_pinned(reply: Reply, extras: Extras) -> Reply:
    """A reply as it is; lost where a router says that another host than the pinned one wrote it."""
    if extras.is_pinned(reply.provider):
        return reply
    pinned = safe_line(", ".join(extras.pinned), 80)
    return Reply(lost=f"answered by {reply.provider} and not by {pinned}", provider=reply.provider)


def tells_no_ids(replies: Sequence[Reply]) -> bool:
    """Whether some reply has text and no ids; then all are scored by their text, because one rule must hold for all."""
    return any(reply.ids is None and reply.text and not reply.lost for reply in replies)


def recut_replies(
    replies: Sequence[Reply], target: CheckpointTarget, silent: NDArray[np.bool_], stop: int, tokens: int
) -> list[Scorable]:
    """Every reply's text as the reference's tokenizer cuts it, up to and with the first silent id."""
    problems = [_unreadable(reply, reply.asked or tokens) for reply in replies]
    texts = ["" if problem else reply.text for reply, problem in zip(replies, problems, strict=True)]
    found = []
    for problem, ids in zip(problems, target.recut(texts), strict=True):
        heard = until_silent(ids, silent)
        ended = bool(heard) and bool(silent[heard[-1]])
        found.append(Scorable(lost=problem) if problem else Scorable(heard if ended else (*heard, stop)))
    return found


def scorable(
    replies: Sequence[Reply], target: CheckpointTarget, silent: NDArray[np.bool_], stop: int, tokens: int
) -> list[Scorable]:
    """What of each reply can be scored, by the ids that the host tells; ``tokens`` is how many were asked for where
    a reply does not say otherwise.

    Ids count up to the first silent one (a stop, a control token, a piece of a character), which ends the reply. They
    must spell the text up to there, and be as many as were billed. Hosts leave silent ids out: where fewer ids came than
    were billed and the place of the gap is certain, the reply ends there. Anything else is lost.
    """
    replies = [_unpadded(reply, silent) for reply in replies]
    given = [reply.ids or () if not _unreadable(reply, reply.asked or tokens) else () for reply in replies]
    heard = [_audible(ids, silent) for ids in given]
    texts = ["" if _unreadable(reply, reply.asked or tokens) else reply.text for reply in replies]
    spelled = target.spelled(list(zip(heard, texts, strict=True)))
    following = target.recut([rest for _, _, rest in spelled])
    found = []
    for reply, ids, said, (length, whole, rest), next_ids in zip(
        replies, given, heard, spelled, following, strict=True
    ):
        limit = reply.asked or tokens
        problem = _unreadable(reply, limit)
        if not problem and any(token >= len(silent) for token in ids):
            problem = "an id that the reference's tokenizer does not know"
        if problem:
            found.append(Scorable(lost=problem))
            continue
        # what the ids leave out begins in pieces, or is a piece that never became a character
        pieces = rest == _BROKEN or (bool(rest) and bool(next_ids) and bool(silent[next_ids[0]]))
        found.append(_judged(reply, ids, said, length, whole=whole, pieces=pieces, stop=stop, tokens=limit))
    return found


def _unpadded(reply: Reply, silent: NDArray[np.bool_]) -> Reply:
    """Without the padding behind a reply: one silent id over and over, past all tokens that are billed."""
    ids, billed = reply.ids or (), reply.billed or 0
    tail = set(ids[billed:])
    if not billed or len(tail) != 1 or not all(token < len(silent) and silent[token] for token in tail):
        return reply
    return reply.model_copy(update={"ids": ids[:billed]})


def _judged(
    reply: Reply, ids: Ids, said: Ids, length: int, *, whole: bool, pieces: bool, stop: int, tokens: int
) -> Scorable:
    """One readable reply: ``said`` are its ids before a silent one, the first ``length`` of which spell its beginning."""
    stopped = reply.finish == "stop"
    # an end may be listed and billed, or billed alone, or neither
    gap = 0 if reply.billed is None else reply.billed - len(ids)
    fits = gap in ({0, 1} if stopped else {0})
    if len(said) < len(ids) and length == len(said) and gap >= 0:
        return Scorable(ids[: len(said) + 1])  # a silent id came; what else was left out belongs to the same character
    if len(said) == len(ids) and whole and fits:
        return Scorable((*said, stop) if stopped or len(ids) < tokens else said)
    if len(said) == len(ids) and whole and gap > 0 and not stopped and len(ids) < tokens:
        return Scorable((*said, stop))  # pieces of a last character, which is not in the text
    if not whole and gap > 0 and pieces:
        return Scorable((*said[:length], stop))
    return Scorable(lost="the ids do not spell the text, or are not as many as were billed")


def _unreadable(reply: Reply, tokens: int) -> str:
    """Why a reply is lost whatever its ids say."""
    if reply.lost:
        return reply.lost
    if reply.finish not in {"stop", "length"}:
        return f"the reply ended for another reason ({reply.finish or 'none given'})"
    if len(reply.ids or ()) > tokens + 1 or len(reply.text) > _MOST_PER_TOKEN * tokens:
        return "longer than was asked for"
    if not reply.text and not reply.ids and reply.finish != "stop":
        return "an empty reply that did not stop"
    return ""


def _audible(ids: Ids, silent: NDArray[np.bool_]) -> Ids:
    heard = until_silent(ids, silent)
    return heard[:-1] if heard and heard[-1] < len(silent) and silent[heard[-1]] else heard
