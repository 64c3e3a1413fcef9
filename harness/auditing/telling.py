"""Log-probabilities that came with replies: which of the reference's ids they speak of, and of which scored token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.auditing.scorable import Scorable
from harness.targets.checkpoint.target import CheckpointTarget
from harness.targets.endpoint.replies import Reply
from harness.targets.endpoint.told import Told, unsound
from harness.targets.listed import Listed


class Names:
    """Tokens by the bytes that they spell, for hosts that tell no ids."""

    def __init__(self, target: CheckpointTarget) -> None:
        self._target = target
        self._known: dict[str, int] = {}

    def read(self, replies: Sequence[Reply]) -> None:
        """Look up every token that is new."""
        spelled = {
            name for reply in replies for place in reply.told or () for name, _ in place if isinstance(name, str)
        }
        new = sorted(spelled - self._known.keys())
        if new:
            self._known |= dict(zip(new, self._target.ids_of(new), strict=True))

    def id(self, name: int | str) -> int:
        """The id of a token; -1 where it is not known for certain."""
        return self._known.get(name, -1) if isinstance(name, str) else name


def with_ids(replies: Sequence[Reply], names: Names) -> list[Reply]:
    """Replies with the ids of their tokens, where a host tells these by log-probabilities alone.

    Whether the ids spell the text is tested later, as for any other host.
    """
    names.read(replies)
    found = []
    for reply in replies:
        ids = tuple(names.id(place[0][0]) for place in reply.told or ())
        known = reply.ids is None and ids and min(ids) >= 0
        found.append(reply.model_copy(update={"ids": ids}) if known else reply)
    return found


def told_of(replies: Sequence[Reply], scored: Sequence[Scorable], names: Names, first: int) -> Mapping[str, Listed]:
    """What was told of each scored token, by the keys of ``sequences_of``; empty where nothing was.

    Only tokens whose own id is the scored one count, and only lists that are distributions.
    """
    told = {
        f"reply-{number:04d}": Listed.of(
            _pairs(place, token, names) for place, token in zip(_padded(reply, len(one.ids)), one.ids, strict=True)
        )
        for number, (reply, one) in enumerate(zip(replies, scored, strict=True), first)
        if one.ids
    }
    return told if any(told.values()) else {}


def _padded(reply: Reply, count: int) -> Sequence[Told]:
    """One place per scored token: a stop that ends a reply is often not told of."""
    told = reply.told or ()
    return (*told[:count], *((),) * (count - len(told)))


def _pairs(place: Told, token: int, names: Names) -> list[tuple[int, float]]:
    if not place or names.id(place[0][0]) != token or unsound(place):
        return []
    return [(names.id(name), value) for name, value in place if names.id(name) >= 0]
