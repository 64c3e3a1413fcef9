"""Local replies of every member of the bank, scored as they were written and as their text is cut anew."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from harness.auditing.scorable import Ids, until_silent
from harness.comparisons.recut import MovedReplies
from harness.observations.events import Event, StageStarted
from harness.observations.reference_cache import ReferenceCache
from harness.observations.rescore import rescore
from harness.prompts.sequences import Sequence as Scored
from harness.prompts.sequences import reply_sequence
from harness.targets.bank import BankMember
from harness.targets.checkpoint.target import CheckpointTarget
from harness.targets.spec import TargetSpec

_AT_ONCE = 32  # replies that are sampled together


def move_replies(
    members: Sequence[BankMember],
    prompts: Mapping[str, Sequence[Ids]],
    opened: Callable[[TargetSpec], CheckpointTarget],
    cache: ReferenceCache,
    silent: NDArray[np.bool_],
    draws: int,
    tokens: int,
    seen: Callable[[Sequence[Ids]], Sequence[str | Ids]],
) -> Generator[Event, None, dict[str, MovedReplies]]:
    """Draw replies from the reference and from every alternative, and score those that the tokenizer cuts otherwise.

    ``prompts`` holds the questions' prompts per fault ("" for none), which are taken in turn. Each source's replies are
    scored under the honest configurations and under itself. ``seen`` is what a host shows of replies, for those that it parses.
    """
    honest = [member for member in members if not member.family]
    nothing = (int(np.flatnonzero(silent)[0]),)  # a reply of blanks is cut into nothing: silent at once
    yield StageStarted("charges", f"{draws} local replies per configuration, because the host tells no ids")
    found = {}
    for place, source in enumerate([honest[0], *(member for member in members if member.family)]):
        asked = prompts[source.fault]
        target = opened(source.spec)
        taken = [number % len(asked) for number in range(draws)]
        replies = target.generate([asked[n] for n in taken], [tokens] * draws, 1000 * place, _AT_ONCE)
        cuts = opened(honest[0].spec).recut(seen(replies))
        pairs = [
            (n, until_silent(written, silent) or nothing, until_silent(cut, silent) or nothing)
            for n, written, cut in zip(taken, replies, cuts, strict=True)
        ]
        moved = [(n, ours, theirs) for n, ours, theirs in pairs if _audible(ours, silent) != _audible(theirs, silent)]
        scored = [*honest, *([source] if source.family else [])]
        names = {member.fault for member in scored} | {""}
        written = yield from rescore(scored, _renderings(names, prompts, moved, 1), opened, cache, silent)
        cut = yield from rescore(scored, _renderings(names, prompts, moved, 2), opened, cache, silent)
        length = float(np.mean([len(_audible(ours, silent)) for _, ours, _ in pairs]))
        found[source.name] = MovedReplies(draws, length, written, cut)
    return found


def _renderings(
    names: Iterable[str], prompts: Mapping[str, Sequence[Ids]], moved: Sequence[tuple[int, Ids, Ids]], which: int
) -> dict[str, list[Scored]]:
    """Replies behind the prompts of every name."""
    return {
        name: [
            reply_sequence(
                f"{k:05d}", "recut", f"{k:05d}", prompts[name][one[0]], (0,) * len(prompts[name][one[0]]), ids
            )
            for k, one in enumerate(moved)
            for ids in [one[1] if which == 1 else one[2]]
        ]
        for name in names
    }


def _audible(ids: Ids, silent: NDArray[np.bool_]) -> Ids:
    return ids[:-1] if ids and silent[ids[-1]] else ids
