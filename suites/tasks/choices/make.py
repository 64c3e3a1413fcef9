"""Closed worlds: passages of invented facts, and questions whose four answers all stand in the passage."""

from __future__ import annotations

import random
from typing import Any

_PEOPLE = [
    "Mara", "Anton", "Lucia", "Henrik", "Noor", "Dalia", "Piotr", "Sanna", "Victor", "Imani", "Oskar", "Greta", "Rafael",
    "Yuna", "Tobias", "Elena", "Marcus", "Freya", "Ibrahim", "Celeste", "Dmitri", "Paloma", "Jonas", "Amara",
]  # fmt: skip
_COLOURS = ["green", "yellow", "dark blue", "silver", "striped", "orange", "white", "purple"]
_THINGS = [
    "bicycle",
    "violin",
    "telescope",
    "kettle",
    "umbrella",
    "typewriter",
    "suitcase",
    "lantern",
    "canoe",
    "clock",
]
_PLACES = [
    "in the old boathouse", "behind the village bakery", "under the kitchen stairs", "on the roof of the school",
    "beside the railway station", "in a shed near the river", "above the tailor's shop", "at the end of the long pier",
    "in the tower of the castle", "next to the fish market", "in the cellar of the inn", "between two apple trees",
]  # fmt: skip
_TRADES = [
    "repairs watches for a living", "teaches music to children", "drives the night bus", "paints signs for shops",
    "bakes bread before dawn", "translates letters from Greek", "keeps bees on the hill", "builds small wooden boats",
    "sells maps to tourists", "trains dogs for the police", "writes songs about the sea", "collects stamps from islands",
]  # fmt: skip
_DAYS = [
    "on the first Monday of May", "on the last day of winter", "two weeks before Christmas", "on the evening of the fair",
    "in the middle of August", "on the morning of the race", "three days after the storm", "at the start of the harvest",
]  # fmt: skip
_GUESTS = [
    "a retired sea captain", "two cousins from Lisbon", "the mayor's younger sister", "an old friend from school",
    "a professor of botany", "the new village doctor", "a famous chess player", "four singers from Wales",
]  # fmt: skip
_FILLER = [
    "The village lies between a river and a low hill.",
    "Most of the houses are made of grey stone.",
    "In autumn the road to the coast is often closed.",
    "Nobody there is in much of a hurry.",
    "There is one shop, and it closes at noon.",
]
_WORLDS, _QUESTIONS = 80, 3


def rows(rng: random.Random) -> dict[str, list[dict[str, Any]]]:
    """240 items: three questions about each of 80 passages; ``group`` names the passage."""
    found = []
    for world in range(_WORLDS):
        people = rng.sample(_PEOPLE, 4)
        facts = {
            "place": _about(people, rng, _PLACES),
            "trade": _about(people, rng, _TRADES),
            "day": _about(people, rng, _DAYS),
            "guest": _about(people, rng, _GUESTS),
        }
        things = [f"{c} {t}" for c, t in zip(rng.sample(_COLOURS, 4), rng.sample(_THINGS, 4), strict=True)]
        owned = dict(zip(people, things, strict=True))
        passage = _passage(people, owned, facts, rng)
        for number, kind in enumerate(rng.sample(sorted(facts), _QUESTIONS)):
            who = rng.choice(people)
            choices = [facts[kind][person] for person in people]
            rng.shuffle(choices)
            question, begun = _asked(kind, who, owned[who])
            found.append(
                {
                    "id": f"choices-{world:02d}-{number}",
                    "group": f"world-{world:02d}",
                    "passage": passage,
                    "question": question,
                    "begun": begun,
                    "choices": choices,
                    "answer": choices.index(facts[kind][who]),
                }
            )
    return {"items": found}


def _about(people: list[str], rng: random.Random, facts: list[str]) -> dict[str, str]:
    return dict(zip(people, rng.sample(facts, len(people)), strict=True))


def _passage(people: list[str], owned: dict[str, str], facts: dict[str, dict[str, str]], rng: random.Random) -> str:
    lines = []
    for who in people:
        lines += [
            f"{who} {facts['trade'][who]}.",
            f"{who} keeps a {owned[who]} {facts['place'][who]}.",
            f"{who} was born {facts['day'][who]}.",
            f"{who} is expecting {facts['guest'][who]}.",
        ]
    lines += rng.sample(_FILLER, 3)
    rng.shuffle(lines)
    return " ".join(lines)


def _asked(kind: str, who: str, owned: str) -> tuple[str, str]:
    """The question, and how its answer begins."""
    return {
        "place": (f"Where does {who} keep the {owned}?", f"{who} keeps the {owned}"),
        "trade": (f"What does {who} do?", who),
        "day": (f"When was {who} born?", f"{who} was born"),
        "guest": (f"Whom is {who} expecting?", f"{who} is expecting"),
    }[kind]
