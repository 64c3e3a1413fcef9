"""Short notices of everyday life, and one fact to be read out of each."""

from __future__ import annotations

import random
from typing import Any

_NAMES = [
    "Carla Weber",
    "Samuel Okafor",
    "Ines Duarte",
    "Liam Byrne",
    "Hanna Virtanen",
    "Omar Haddad",
    "Ruth Cohen",
    "Kenji Mori",
]
_TOWNS = ["Bergen", "Toledo", "Kraków", "Ghent", "Porto", "Tartu", "Bath", "Siena"]
_GOODS = ["lamps", "chairs", "kettles", "blankets", "mirrors", "radios", "bottles", "helmets"]
_MONTHS = ["March", "April", "June", "July", "September", "October"]
_WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"]
_NOTICES = 30


def rows(rng: random.Random) -> dict[str, list[dict[str, Any]]]:
    """60 items: two questions about each of 30 notices; ``group`` names the notice."""
    found = []
    for notice in range(_NOTICES):
        text, facts = rng.choice([_delivery, _meeting, _lost])(rng)
        for number, (question, answer) in enumerate(rng.sample(facts, 2)):
            found.append(
                {
                    "id": f"reading-{notice:02d}-{number}",
                    "group": f"notice-{notice:02d}",
                    "notice": text,
                    "question": question,
                    "answer": answer,
                }
            )
    return {"items": found}


def _delivery(rng: random.Random) -> tuple[str, list[tuple[str, str]]]:
    name, town, goods = rng.choice(_NAMES), rng.choice(_TOWNS), rng.choice(_GOODS)
    count, day, month = rng.randint(12, 96), rng.randint(2, 28), rng.choice(_MONTHS)
    number = rng.randint(1000, 9999)
    text = (
        f"Order {number} was placed by {name}. It consists of {count} {goods}, which were sent to {town} "
        f"on {day} {month}. The parcel was left at the front desk because nobody opened the door."
    )
    return text, [
        ("What is the number of the order?", str(number)),
        ("Who placed the order?", name),
        (f"How many {goods} were sent?", str(count)),
        ("To which town was the order sent?", town),
    ]


def _meeting(rng: random.Random) -> tuple[str, list[tuple[str, str]]]:
    name, other = rng.sample(_NAMES, 2)
    weekday, hour, room = rng.choice(_WEEKDAYS), rng.randint(8, 11), rng.randint(101, 399)
    text = (
        f"The meeting about the new timetable was moved to {weekday} at {hour} in the morning. It takes place in "
        f"room {room}. {name} will be in the chair, and {other} takes the minutes. Coffee is served afterwards."
    )
    return text, [
        ("To which day was the meeting moved?", weekday),
        ("In which room does it take place?", str(room)),
        ("Who will be in the chair?", name),
        ("Who takes the minutes?", other),
    ]


def _lost(rng: random.Random) -> tuple[str, list[tuple[str, str]]]:
    name, town, month = rng.choice(_NAMES), rng.choice(_TOWNS), rng.choice(_MONTHS)
    reward, phone = rng.randint(2, 19) * 10, rng.randint(200000, 999999)
    text = (
        f"Lost in {town} at the end of {month}: a brown leather bag with a broken handle. The finder receives a reward "
        f"of {reward} euros. Please call {name} under {phone} in the evening."
    )
    return text, [
        ("In which town was the bag lost?", town),
        ("How many euros is the reward?", str(reward)),
        ("Who should be called?", name),
        ("Which telephone number should be called?", str(phone)),
    ]
