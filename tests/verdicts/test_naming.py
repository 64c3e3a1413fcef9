"""Lists of settings are short and say no more than was looked at."""

from __future__ import annotations

from harness.verdicts.naming import in_few_words

EVERY = [
    *(f"temperature {value}" for value in ("2.00", "1.10", "1.02", "0.98", "0.90")),
    *("top_k 20", "top_p 0.8", "top_p 0.9", "ends twice as readily"),
]


def test_neighbours_become_a_range_and_gaps_stay():
    """A temperature that is not named lies in no range."""
    named = [
        "temperature 2.00",
        "temperature 1.10",
        "temperature 0.90",
        "top_p 0.9",
        "top_p 0.8",
        "ends twice as readily",
    ]
    assert in_few_words(named, EVERY) == "temperature 0.9 and 1.1 to 2; top_p 0.8 and 0.9; ends twice as readily"


def test_single_values_and_nothing():
    """No range of one, no words for none, and names of other kinds as they are."""
    assert in_few_words(["temperature 1.02"], EVERY) == "temperature 1.02"
    assert in_few_words([], EVERY) == ""
    assert in_few_words(["temperature of a stranger"], EVERY) == "temperature of a stranger"
