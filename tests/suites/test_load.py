"""Suites: loading, selection, digests, and errors that name the line."""

from __future__ import annotations

import pytest

from harness.errors import UnknownName, UsageError
from harness.suites import load_suite, suite_names
from harness.suites.model import Profile
from tests.support.toy import make_suite


def test_the_core_suite_keeps_its_promises():
    """Sixty documents over six kinds, forty and more sampled prompts, profiles, licence, and limits in words."""
    core = load_suite("core")
    documents = [item for item in core.items if not item.sample]
    assert len(documents) >= 60
    assert len(core.items) - len(documents) >= 40
    assert {"prose", "code", "math", "multilingual", "structured", "chat"} <= {item.domain for item in documents}
    quick = core.select(core.profile("quick"))
    assert len(quick) >= 40
    assert {item.domain for item in quick} == {item.domain for item in core.items}
    assert core.head.cannot_show
    assert "core" in suite_names()


def test_selection_is_fixed_and_in_suite_order(tiny_suite):
    """The same profile always takes the same items."""
    suite = load_suite(str(tiny_suite))
    part = suite.select(Profile(documents=5, prompts=1, band_documents=3))
    assert part == suite.select(Profile(documents=5, prompts=1, band_documents=3))
    assert len(part) == 6
    order = [suite.items.index(item) for item in part]
    assert order == sorted(order)


def test_the_digest_covers_every_item(tmp_path):
    """One changed word is another suite."""
    folder = make_suite(tmp_path / "a")
    before = load_suite(str(folder)).digest
    items = folder / "items.jsonl"
    items.write_text(items.read_text().replace("stone", "rock", 1))
    assert load_suite(str(folder)).digest != before


def test_a_misspelt_name_gets_a_suggestion():
    """did you mean."""
    with pytest.raises(UnknownName) as caught:
        load_suite("cores")
    assert "'core'" in caught.value.fix


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{broken", "not JSON"),
        ('{"id": "x", "domain": "d", "txet": "a"}', "did you mean 'text'"),
        ('{"id": "x", "domain": "d"}', "either 'text' or 'messages'"),
        ('{"id": "doc-0", "domain": "d", "text": "a"}', "used twice"),
    ],
)
def test_bad_items_name_file_and_line(tmp_path, line, words):
    """Every problem says where it is."""
    folder = make_suite(tmp_path / "bad", documents=1, chats=0, asks=0)
    with (folder / "items.jsonl").open("a") as out:
        out.write(line + "\n")
    with pytest.raises(UsageError) as caught:
        load_suite(str(folder))
    assert words in caught.value.problem
    assert caught.value.where.endswith("items.jsonl:2")


def test_unknown_profiles_list_the_known(tiny_suite):
    """A profile that does not exist is a usage error."""
    with pytest.raises(UnknownName, match="no profile 'huge'"):
        load_suite(str(tiny_suite)).profile("huge")
