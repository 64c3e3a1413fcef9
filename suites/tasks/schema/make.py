"""Records in words, to be given back as JSON that fits a schema."""

from __future__ import annotations

import json
import random
from typing import Any

_NAMES = ["Ana", "Bruno", "Chloe", "Daniel", "Esra", "Felix", "Gita", "Hugo", "Iris", "Jakob"]
_CITIES = ["Rome", "Oslo", "Delhi", "Quito", "Cairo", "Perth", "Lyon", "Kyoto"]
_SIZES = ["small", "medium", "large"]
_FRUIT = ["apples", "pears", "plums", "figs", "melons", "cherries"]
_EACH = 10


def rows(rng: random.Random) -> dict[str, list[dict[str, Any]]]:
    """40 items: ten each with flat, enumerated, listed and nested fields."""
    found = []
    for kind, make in _KINDS.items():
        for number in range(_EACH):
            text, properties, answer = make(rng)
            schema = _object(properties)
            found.append(
                {
                    "id": f"schema-{kind}-{number}",
                    "kind": kind,
                    "text": text,
                    "example": _EXAMPLES[kind][0],
                    "example_json": json.dumps(_EXAMPLES[kind][1]),
                    "schema": json.dumps(schema),
                    "answer": json.dumps(answer),
                }
            )
    rng.shuffle(found)
    return {"items": found}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": sorted(properties), "additionalProperties": False}


Made = tuple[str, dict[str, Any], dict[str, Any]]


def _flat(rng: random.Random) -> Made:
    name, age, city = rng.choice(_NAMES), rng.randint(18, 80), rng.choice(_CITIES)
    text = f"{name} is {age} years old and lives in {city}."
    return (
        text,
        {"name": {"type": "string"}, "age": {"type": "integer"}, "city": {"type": "string"}},
        {"name": name, "age": age, "city": city},
    )


def _enum(rng: random.Random) -> Made:
    name, size, count = rng.choice(_NAMES), rng.choice(_SIZES), rng.randint(2, 9)
    text = f"{name} orders {count} shirts in the size {size}."
    return (
        text,
        {"customer": {"type": "string"}, "count": {"type": "integer"}, "size": {"enum": _SIZES}},
        {"customer": name, "count": count, "size": size},
    )


def _list(rng: random.Random) -> Made:
    name, fruit = rng.choice(_NAMES), rng.sample(_FRUIT, 3)
    text = f"{name} buys {fruit[0]}, {fruit[1]} and {fruit[2]}."
    return (
        text,
        {"name": {"type": "string"}, "items": {"type": "array", "items": {"type": "string"}}},
        {"name": name, "items": fruit},
    )


def _nested(rng: random.Random) -> Made:
    name, city, number = rng.choice(_NAMES), rng.choice(_CITIES), rng.randint(1, 99)
    text = f"{name} lives in {city} at house number {number}."
    address = _object({"city": {"type": "string"}, "number": {"type": "integer"}})
    return (
        text,
        {"name": {"type": "string"}, "address": address},
        {"name": name, "address": {"city": city, "number": number}},
    )


_EXAMPLES: dict[str, tuple[str, dict[str, Any]]] = {
    "flat": ("Zoe is 31 years old and lives in Bonn.", {"name": "Zoe", "age": 31, "city": "Bonn"}),
    "enum": ("Zoe orders 11 shirts in the size small.", {"customer": "Zoe", "count": 11, "size": "small"}),
    "list": ("Zoe buys nuts, dates and kiwis.", {"name": "Zoe", "items": ["nuts", "dates", "kiwis"]}),
    "nested": ("Zoe lives in Bonn at house number 7.", {"name": "Zoe", "address": {"city": "Bonn", "number": 7}}),
}
_KINDS = {"flat": _flat, "enum": _enum, "list": _list, "nested": _nested}
