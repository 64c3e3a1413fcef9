"""The shipped task suites: the same items from the same seed, scorers that can pass and fail, enough items."""

from __future__ import annotations

import importlib.util
import json

import pytest

from harness.observations.lm_eval import load_tasks
from harness.suites.load import shipped_folder

FOLDER = shipped_folder() / "tasks"


def module(name):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def test_the_items_are_what_their_generator_writes():
    """Byte for byte: nobody edits them by hand, and everybody can make them again."""
    for name, text in module("generate").generated().items():
        assert (FOLDER / name).read_text(encoding="utf-8") == text, name


def test_every_suite_says_what_it_can_and_cannot_show():
    """A README beside the items, with the number of items that are there."""
    for folder in (path for path in FOLDER.iterdir() if path.is_dir() and not path.name.startswith("_")):
        text = (folder / "README.md").read_text(encoding="utf-8")
        assert "cannot show" in text.lower(), folder.name
        lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in folder.glob("*.jsonl"))
        assert not lines or f"{lines} items" in text, folder.name


@pytest.mark.parametrize("chat", [True, False])
def test_no_metric_is_vacuous(chat):
    """Every answer that was made to fail fails, in conversations as in texts; there are more than 300 items."""
    tasks = load_tasks(["fidelity"], chat=chat)
    checks = tasks.self_check()
    assert all(not one.vacuous and one.failed == one.items for one in checks.values()), checks
    assert sum(one.items for one in checks.values()) >= 300
    assert all(one.passed for one in checks.values())


def test_ids_are_unique_and_groups_share_a_passage():
    """An item is joined by its id, and questions about one passage are one group."""
    for path in FOLDER.glob("*/*.jsonl"):
        items = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        assert len({item["id"] for item in items}) == len(items)
        for item in items:
            texts = {
                other.get("passage", other.get("notice")) for other in items if other.get("group") == item.get("group")
            }
            assert len(texts) == 1 or "group" not in item


def test_every_needle_of_the_ladder_is_in_its_haystack():
    """Once, at the depth that the item states."""
    for item in module("functions").ladder(512)["test"]:
        assert item["text"].count(item["answer"]) == 1
        assert item["text"].index(f"the {item['name']} has the number {item['answer']}") / len(
            item["text"]
        ) == pytest.approx(item["depth"], abs=0.15)


@pytest.mark.parametrize(
    ("text", "answer", "right"),
    [("35", "35", 1), ("19 + 16 = 35", "35", 1), ("The answer is 1,234.", "1234", 1), ("Either 35 or 36", "35", 0), ("", "35", 0),
     ("-12", "-12", 1), ("42.0", "42", 1), ("42 (6x7)", "42", 1), ("42 apples, 3 left", "42", 1), ("6 x 7 = 42.", "42", 1),
     ("I think so\n35", "35", 1), ("none", "35", 0)],
)  # fmt: skip
def test_numbers_are_read_from_the_end_of_the_first_line_with_one(text, answer, right):
    """A restated sum is not mistaken for its result."""
    assert module("functions").score_number({"answer": answer}, [text])["exact"] == right


@pytest.mark.parametrize(
    ("text", "answer", "right"),
    [("It was Carla Weber.", "Carla Weber", 1), ("carla  weber", "Carla Weber", 1), ("Carla", "Carla Weber", 0),
     ("1234", "123", 0), ("Kraków!", "Kraków", 1)],
)  # fmt: skip
def test_an_answer_is_found_as_words_of_its_own(text, answer, right):
    """Letter case and punctuation aside; a longer number is another one."""
    assert module("functions").score_answer({"answer": answer}, [text])["found"] == right


@pytest.mark.parametrize(
    ("kind", "value", "good", "bad"),
    [("max_words", 3, "one two three", "one two three four"), ("min_words", 2, "one two", "one"),
     ("bullets", 2, "- a\n- b", "- a"), ("sentences", 1, "One only.", "One. Two."), ("contains", "honey", "Honey!", "hone"),
     ("avoids", "the", "a sea", "The sea"), ("starts", "Perhaps", "Perhaps so", "So perhaps"), ("ends", "?", "Who?", "Who"),
     ("no_commas", True, "a b", "a, b"), ("upper", True, "SEA", "Sea"), ("lower", True, "sea", "Sea"),
     ("one_line", True, "a", "a\nb"), ("quoted", True, '"a"', "a"), ("language", "German", "Das ist die See.", "The sea is big."),
     ("language", "Russian", "Море ночью", "The sea"), ("language", "English", "It is the sea.", "Das ist die See.")],
)  # fmt: skip
def test_every_constraint_can_hold_and_fail(kind, value, good, bad):
    """One text on each side of it."""
    check = module("functions").CHECKS[kind]
    assert check(good, value)
    assert not check(bad, value)


@pytest.mark.parametrize(
    ("text", "valid", "right"),
    [('{"a": 1}', 1, 1), ('```json\n{"a": 1}\n```', 1, 1), ('{"a": 2}', 1, 0), ('{"a": "1"}', 0, 0), ("a: 1", 0, 0),
     ("[" * 3000, 0, 0), ('{"a": 1, "b": 2}', 0, 0)],
)  # fmt: skip
def test_json_is_valid_only_if_it_fits_the_schema(text, valid, right):
    """And right only if it says what was said; nothing that a model writes raises."""
    schema = {
        "type": "object",
        "properties": {"a": {"type": "integer"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    doc = {"schema": json.dumps(schema), "answer": '{"a": 1}'}
    assert module("functions").score_schema(doc, [text]) == {"valid": valid, "right": right}
