"""Log-probabilities that came with replies: which of the reference's ids they speak of, and of which scored token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from harness.auditing.scorable import Scorable
from harness.targets.checkpoint.target import CheckpointTarget
from harness.targets.endpoint.replies import Reply
from harness.targets.endpoint.told import Told
from harness.targets.listed import Listed


class Names:
    """Tokens by the bytes that they spell, for hosts that tell no ids."""

    def __init__(self, target: CheckpointTarget) -> None:
        self._target = target
        self._known: dict[str, int] = {}

    def read(self, replies: Sequence[Reply]) -> None:
        """Look up every token that is new."""
        self.look_up([reply.told for reply in replies if reply.told])

    def look_up(self, told: Sequence[Told]) -> None:
        """Look up every token that is new."""
        new = sorted({name for one in told for name in one.names} - self._known.keys())
        if new:
            self._known |= dict(zip(new, self._target.ids_of(new), strict=True))

    def id(self, name: str) -> int:
        """The id of a token; -1 where it is not known for certain."""
        return self._known.get(name, -1)


def with_ids(replies: Sequence[Reply], names: Names) -> list[Reply]:
    """Replies with the ids of their tokens, where a host tells these by log-probabilities alone.

    Whether the ids spell the text is tested later, as for any other host.
    """
    names.read(replies)
    found = []
    for reply in replies:
        ids = reply.told.listed(names.id).ids[:, 0].tolist() if reply.told and reply.ids is None else []
        found.append(reply.model_copy(update={"ids": tuple(ids)}) if ids and min(ids) >= 0 else reply)
    return found


def names_tell(replies: Sequence[Reply], scored: Sequence[Scorable]) -> bool:
    """Whether ids that were read from bytes hold: every reply got some, and none is lost for them. One rule holds for all."""
    return all(reply.ids is not None or not reply.text for reply in replies) and not any(one.lost for one in scored)


def told_of(replies: Sequence[Reply], scored: Sequence[Scorable], names: Names, first: int) -> Mapping[str, Listed]:
    """What was told of each scored token, by the keys of ``sequences_of``; empty where nothing was.

    Only tokens whose own id is the scored one count, and only lists that are distributions.
    """
    told = {
        f"reply-{number:04d}": _listed(reply.told, one, names)
        for number, (reply, one) in enumerate(zip(replies, scored, strict=True), first)
        if one.ids
    }
    return told if any(told.values()) else {}


def told_alone(told: Sequence[Told], scored: Sequence[Scorable], names: Names) -> Mapping[str, Listed]:
    """The same of texts that were shown to the host; nothing of a text whose tokens are not the ones that it was shown."""
    names.look_up(told)
    found = {}
    for number, (one, text) in enumerate(zip(told, scored, strict=True)):
        said = one.head(len(text.ids)).listed(names.id).ids[:, 0]
        other = ((said >= 0) & (said != np.array(text.ids[: len(said)]))).any()
        found[f"reply-{number:04d}"] = _listed(None if other else one, text, names)
    return found if any(found.values()) else {}


def _listed(told: Told | None, one: Scorable, names: Names) -> Listed:
    """One place per scored token: a stop that ends a reply is often not told of."""
    nothing = Listed.of([[]] * len(one.ids))
    if told is None:
        return nothing
    head = told.head(len(one.ids))
    listed = head.listed(names.id)
    count, width = listed.ids.shape
    sound = (listed.ids[:, 0] == np.array(one.ids[:count])) & ~head.unsound()
    ids, logs = np.full((len(one.ids), width), -1, dtype=np.int64), np.full((len(one.ids), width), np.nan)
    ids[:count] = np.where(sound[:, None], listed.ids, -1)
    logs[:count] = np.where(sound[:, None], listed.logs, np.nan)
    return Listed(ids, logs)
