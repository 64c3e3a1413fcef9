"""What the YAML files of this folder call: readers of items, and scorers. Needs lm-eval's own dependencies alone.

A scorer gets one item and the replies to it, and returns 1.0 or 0.0 per metric; it never raises for what a model wrote.
"""

from __future__ import annotations

import json
import random
import re
import unicodedata
from pathlib import Path
from typing import Any

import datasets

_HERE = Path(__file__).resolve().parent
_LONGEST = 4000  # characters of a reply that are looked at

Item = dict[str, Any]


def items(file: str, **_: object) -> dict[str, datasets.Dataset]:
    """The items of one JSONL file beside this one, whatever folder lm-eval was started in."""
    lines = (_HERE / file).read_text(encoding="utf-8").splitlines()
    return {"test": datasets.Dataset.from_list([json.loads(line) for line in lines if line.strip()])}


def ladder(rung: int, **_: object) -> dict[str, datasets.Dataset]:
    """Retrieval items of about ``rung`` tokens: four numbers among sentences, one of which is asked for; always the same ones."""
    rng = random.Random(f"retrieval-{rung}")  # noqa: S311 - not a secret
    words = json.loads((_HERE / "retrieval" / "words.json").read_text(encoding="utf-8"))
    rows = []
    for number in range(_PER_RUNG):
        count = max((rung - _TOKENS_BESIDE) // _TOKENS_PER_LINE, _NEEDLES)
        lines = [_sentence(words, rng) for _ in range(count)]
        names = rng.sample(words["who"], _NEEDLES)
        codes = rng.sample(range(10_000, 100_000), _NEEDLES)
        asked = int((number + 0.5) / _PER_RUNG * count)
        places = [asked, *rng.sample([place for place in range(count) if place != asked], _NEEDLES - 1)]
        for place, name, code in zip(places, names, codes, strict=True):
            lines[place] += f" The locker of the {name} has the number {code}."
        rows.append(
            {
                "id": f"retrieval-{rung}-{number:02d}",
                "text": " ".join(lines),
                "name": names[0],
                "answer": str(codes[0]),
                "depth": round((asked + 0.5) / count, 3),
            }
        )
    return {"test": datasets.Dataset.from_list(rows)}


_PER_RUNG, _NEEDLES = 16, 4
_TOKENS_PER_LINE, _TOKENS_BESIDE = 15, 110  # in common vocabularies: of a sentence; of numbers, question and template


def _sentence(words: dict[str, list[str]], rng: random.Random) -> str:
    opening, *rest = (rng.choice(words[part]) for part in ("opening", "subject", "verb", "ending"))
    return f"{opening}, {' '.join(rest)}."


def score_answer(doc: Item, results: list[str]) -> dict[str, float]:
    """Whether the reply holds the expected answer as words of its own, letter case and punctuation aside."""
    return {"found": float(f" {_plain(str(doc['answer']))} " in f" {_plain(results[0])} ")}


def score_number(doc: Item, results: list[str]) -> dict[str, float]:
    """Whether the number that the first line with one gives is the answer: what it begins with, what stands after the last equals
    sign, or else the last one.
    """
    for line in results[0][:_LONGEST].splitlines():
        found = re.findall(_NUMBER, line)
        if found:
            first = re.match(rf"\s*({_NUMBER})(?!\s*[-+x*/×÷=\d])", line)
            after = re.findall(rf"=\s*({_NUMBER})", line)
            said = first.group(1) if first else after[-1] if after else found[-1]
            return {"exact": float(float(said.replace(",", "")) == float(doc["answer"]))}
    return {"exact": 0.0}


_NUMBER = r"-?\d{1,30}(?:,\d{3}){0,9}(?:\.\d{1,30})?"


def score_constraints(doc: Item, results: list[str]) -> dict[str, float]:
    """``followed``: all constraints of the item hold; ``share``: how many of them."""
    text = results[0][:_LONGEST].strip()
    held = [bool(text) and CHECKS[one["kind"]](text, one["value"]) for one in json.loads(doc["constraints"])]
    return {"followed": float(all(held)), "share": sum(held) / len(held)}


def score_schema(doc: Item, results: list[str]) -> dict[str, float]:
    """``valid``: the reply is JSON that fits the schema; ``right``: and holds the expected values."""
    import jsonschema  # noqa: PLC0415 - the other tasks do without

    value = _json_of(results[0])
    schema = json.loads(doc["schema"])
    try:
        jsonschema.validate(value, schema, cls=jsonschema.Draft202012Validator)
    except (jsonschema.ValidationError, RecursionError):
        return {"valid": 0.0, "right": 0.0}
    return {"valid": 1.0, "right": float(value == json.loads(doc["answer"]))}


def _json_of(text: str) -> Any:
    """The JSON that a reply consists of, a Markdown fence around it aside; the text itself where it is none."""
    fenced = re.match(r"\s*```(?:json)?\s*(.*?)```", text[:_LONGEST], re.DOTALL)
    try:
        return json.loads(fenced.group(1) if fenced else text[:_LONGEST])
    except (ValueError, RecursionError):
        return text


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text[:_LONGEST]).casefold()
    return " ".join(re.findall(r"\w+", folded))


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:['’-][^\W_]+)*", text)


def _bullets(text: str) -> int:
    return sum(bool(re.match(r"\s*[-*•] +\S", line)) for line in text.splitlines())


def _in_language(text: str, language: str) -> bool:
    """Whether common words of a language are the most frequent ones; a script of its own decides by letters."""
    letters = [letter for letter in text if letter.isalpha()]
    if language in _SCRIPTS:
        low, high = _SCRIPTS[language]
        return sum(low <= letter <= high for letter in letters) > 0.5 * max(len(letters), 1)
    counts = {name: sum(word.lower() in common for word in _words(text)) for name, common in _COMMON.items()}
    return counts[language] >= 2 and counts[language] == max(counts.values())


_SCRIPTS = {"Russian": ("Ѐ", "ӿ"), "Greek": ("Ͱ", "Ͽ"), "Japanese": ("぀", "龯")}
_COMMON = {
    name: frozenset(words.split())
    for name, words in {
        "English": "the and of to is are in that it with was for on as you",
        "German": "der die das und ist nicht ein eine zu mit den auf ich wir sie",
        "French": "le la les et est une des dans pour que qui pas sur vous nous",
        "Spanish": "el los las y es una de en para que con por su del como",
        "Italian": "il lo gli e è una di in per che con non del della sono",
    }.items()
}

#: Constraints of ``instructions``: a text and the value of the constraint, to whether it holds.
CHECKS = {
    "max_words": lambda text, value: len(_words(text)) <= value,
    "min_words": lambda text, value: len(_words(text)) >= value,
    "bullets": lambda text, value: _bullets(text) == value,
    "sentences": lambda text, value: len(re.findall(r"[.!?]+(?:\s|$)", text)) == value,
    "contains": lambda text, value: _plain(value) in _plain(text),
    "avoids": lambda text, value: _plain(value) not in _plain(text).split(),
    "starts": lambda text, value: text.startswith(value),
    "ends": lambda text, value: text.rstrip().endswith(value),
    "no_commas": lambda text, _: "," not in text,
    "upper": lambda text, _: text == text.upper() and any(letter.isalpha() for letter in text),
    "lower": lambda text, _: text == text.lower() and any(letter.isalpha() for letter in text),
    "one_line": lambda text, _: len(text.splitlines()) == 1,
    "language": _in_language,
    "quoted": lambda text, _: len(text) > 2 and text[0] == text[-1] == '"',
}
