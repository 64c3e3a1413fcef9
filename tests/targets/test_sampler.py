"""What a host can be asked for: one temperature or one cut-off, read strictly, sent as it is."""

from __future__ import annotations

import pytest

from harness.errors import UsageError
from harness.targets.sampler import Sampler, parse_sampler


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Sampler()),
        ("temperature=0.7", Sampler(temperature=0.7)),
        ("top_p=0.95, temperature=1", Sampler(cut="top_p", value=0.95)),
        ("top_k=40", Sampler(cut="top_k", value=40)),
        ("temperature=0.6,top_p=1,top_k=-1,min_p=0", Sampler(temperature=0.6)),
    ],
)
def test_settings_that_do_nothing_are_left_out(text, expected):
    """What is left is what both sides are computed under."""
    assert parse_sampler(text) == expected


@pytest.mark.parametrize(
    "text",
    ["temperature=0", "temperature=5", "top_p=1.2", "top_p=-0.1", "top_k=1.5", "typical=0.9", "top_p", "top_p=nan",
     "top_p=0.9,top_p=0.8", "top_p=0.9,top_k=40", "temperature=0.7,top_p=0.95"],
)  # fmt: skip
def test_what_cannot_be_held_to_is_refused(text):
    """Two cut-offs, or a cut-off with a temperature (engines disagree about their order), and plain nonsense."""
    with pytest.raises(UsageError):
        parse_sampler(text)


def test_requests_say_everything_and_whole_numbers_stay_whole():
    """top_p is always named, because hosts have defaults."""
    assert Sampler(cut="top_k", value=40).fields() == {"temperature": 1.0, "top_p": 1.0, "top_k": 40}
    assert type(Sampler(cut="top_k", value=40).fields()["top_k"]) is int
    assert str(Sampler(cut="min_p", value=0.05)) == "temperature 1, min_p 0.05"
