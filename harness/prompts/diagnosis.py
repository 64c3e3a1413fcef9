"""Which named fault turns the reference's prompts into those that were observed: exact reproduction or no name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.prompts.conversation import Conversation
from harness.prompts.faults import LIBRARY, Fault
from harness.prompts.variants import Bench, Prompt

Reading = Callable[[Prompt], object]
_LEADING = 8  # faults that are tried with every other: those that explain most alone
_FIRST = 3  # places on which a pair must hold before it is tried on all


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found.

    ``differing`` are the places where the observation is not the reference's. ``named`` are the explanations that
    reproduce every observation, each a tuple of one or two fault names; several are a tie. With differences and no
    explanation the difference is unclassified. ``closest`` is the single fault that explains most of the ``compared``
    places that differ, ``explained`` of them; it is empty where none explains any.
    """

    differing: tuple[int, ...]
    named: tuple[tuple[str, ...], ...]
    closest: str
    explained: int
    compared: int


def diagnose(
    bench: Bench,
    conversations: Sequence[Conversation],
    observed: Sequence[object],
    reading: Reading,
    library: Sequence[Fault] = LIBRARY,
    base: Sequence[Fault] = (),
) -> Diagnosis:
    """Name what turns the reference's prompts into the observed ones.

    ``reading`` takes from a prompt what was observed: its text, its ids or its count. A place where nothing was
    observed holds None and is left out. ``base`` are changes that an engine makes on purpose; they come first.
    """
    seen = [k for k, value in enumerate(observed) if value is not None]
    asked, target = [conversations[k] for k in seen], [observed[k] for k in seen]

    def tried(faults: Sequence[Fault], places: Sequence[int] | None = None) -> list[object]:
        part = asked if places is None else [asked[k] for k in places]
        return [reading(prompt) for prompt in bench.prompts(part, [*base, *faults])]

    sound = tried(())
    differing = tuple(k for k, ours, theirs in zip(seen, sound, target, strict=True) if ours != theirs)
    if not differing:
        return Diagnosis((), (), "", 0, 0)
    effects = {fault.name: tried([fault]) for fault in library}
    named: list[tuple[str, ...]] = [(name,) for name, effect in effects.items() if effect == target]
    scores = {name: sum(a == b for a, b in zip(effect, target, strict=True)) for name, effect in effects.items()}
    if not named:
        named = _pairs(library, effects, scores, sound, target, tried)
    solved = {
        name: sum(a == b != c for a, b, c in zip(effect, target, sound, strict=True))
        for name, effect in effects.items()
    }
    closest = max(solved, key=lambda name: solved[name])
    return Diagnosis(differing, tuple(named), closest if solved[closest] else "", solved[closest], len(differing))


def _pairs(
    library: Sequence[Fault],
    effects: dict[str, list[object]],
    scores: dict[str, int],
    sound: list[object],
    target: list[object],
    tried: Callable[..., list[object]],
) -> list[tuple[str, ...]]:
    """Two faults at once: the faults that explain most alone, each with every other that does nothing unseen."""

    def plausible(effect: list[object]) -> bool:
        acts = any(a != b for a, b in zip(effect, sound, strict=True))
        stray = any(e != s and t == s for e, s, t in zip(effect, sound, target, strict=True))
        return acts and not stray

    names = sorted((n for n, effect in effects.items() if plausible(effect)), key=lambda n: -scores[n])
    by_name = {fault.name: fault for fault in library}
    found: dict[frozenset[str], tuple[str, ...]] = {}
    for leading in names[:_LEADING]:
        left = [k for k, (a, b) in enumerate(zip(effects[leading], target, strict=True)) if a != b][:_FIRST]
        for other in names:
            for pair in ((leading, other), (other, leading)):
                faults = [by_name[name] for name in pair]
                if leading == other or frozenset(pair) in found:
                    continue
                if tried(faults, left) == [target[k] for k in left] and tried(faults) == target:
                    found[frozenset(pair)] = pair
    return list(found.values())
