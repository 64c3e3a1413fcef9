"""The shipped cases of calling tools: the same from the same seed, many kinds, each with something that can be wrong."""

from __future__ import annotations

import importlib.util
import json

import pytest
from jsonschema import Draft202012Validator

from harness.errors import UsageError
from harness.suites.load import shipped_folder
from harness.suites.tool_cases import read_cases, shipped_cases
from harness.tasking.tool_suite import ToolSuite

FOLDER = shipped_folder() / "tools"


def test_the_cases_are_what_their_generator_writes():
    """Byte for byte."""
    spec = importlib.util.spec_from_file_location("make", FOLDER / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (FOLDER / "cases.jsonl").read_text(encoding="utf-8") == module.generated()


def test_every_kind_is_there_and_no_two_cases_ask_the_same():
    """The kinds that vendors' verifiers are blamed for lacking, too."""
    cases = shipped_cases()
    kinds = {one.kind for one in cases}
    assert len(cases) >= 80
    assert kinds == {"must-call", "must-not-call", "choose", "parallel", "nested", "special", "round-trip", "second-step",
                     "reasoned-step", "named", "required", "none", "language", "stream"}  # fmt: skip
    asked = {json.dumps([one.messages, one.tools, one.choice, one.stream], sort_keys=True) for one in cases}
    assert len(asked) == len(cases)
    assert f"{len(cases)} cases" in (FOLDER / "README.md").read_text(encoding="utf-8")


def test_every_schema_is_one_and_every_expected_call_fits_it():
    """Else a right answer would be called wrong."""
    for case in shipped_cases():
        for schema in case.schemas.values():
            Draft202012Validator.check_schema(schema)
        for call in case.calls:
            properties = case.schemas[call.name]["properties"]
            for key, values in call.arguments.items():
                assert all(Draft202012Validator(properties[key]).is_valid(value) for value in values), (case.id, key)


def test_no_aspect_of_the_suite_is_vacuous():
    """Every reply that was made to fail an aspect fails it; right ones pass, where they show it."""
    for check in ToolSuite(shipped_cases()).self_check().values():
        assert check.items > 0
        assert check.failed == check.items, check
        assert check.passed > 0.6 * check.items, check


def changed(schema=None, **fields):
    """A case that is right but for one thing."""
    tool = {"type": "function", "function": {"name": "x", "parameters": schema or {"type": "object"}}}
    one = {"id": "a", "kind": "k", "messages": [{"role": "user", "content": "Hi"}], "tools": [tool], "calls": []}
    return json.dumps(one | fields)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"id": "a"}', "line 1: kind"),
        ("nonsense", "line 1"),
        ('{"id": "a", "kind": "k", "messages": [], "tools": [], "calls": []}', "no messages"),
        (
            '{"id": "a", "kind": "k", "messages": [{"role": "user"}], "tools": [], "calls": [{"name": "x"}]}',
            "does not offer",
        ),
        ('{"id": "a", "kind": "k", "messages": [{"role": "user"}], "tools": [], "calls": [], "twin": "b"}', "twin"),
        ("", "no cases"),
        (changed(choice="reqired"), "choice is auto"),
        (changed(calls=[{"name": "x", "arguments": {"a": []}}]), "at least one value"),
        (changed(schema={"type": 5}), "the schema of x is none"),
        (changed(schema={"$ref": "https://example.org/s.json"}), "nothing outside itself"),
        (changed(schema={"$ref": "#/$defs/no"}), "nothing outside itself"),
        (changed(messages=[{"role": "assistant", "tool_calls": [{}]}]), "calls without id"),
        (changed(tools=[{"type": "function"}]), "a name of its own"),
    ],
)
def test_cases_of_ones_own_are_checked(tmp_path, line, reason):
    """With line and reason."""
    path = tmp_path / "mine.jsonl"
    path.write_text(line + "\n", encoding="utf-8")
    with pytest.raises(UsageError, match=reason):
        read_cases(path)


def test_an_id_that_stands_twice_is_refused(tmp_path):
    """Cases are joined by it."""
    path = tmp_path / "mine.jsonl"
    line = '{"id": "a", "kind": "k", "messages": [{"role": "user"}], "tools": [], "calls": []}\n'
    path.write_text(line * 2, encoding="utf-8")
    with pytest.raises(UsageError, match="line 2: the id a stands twice"):
        read_cases(path)


def test_lines_end_with_line_feeds_alone(tmp_path):
    """Other separators may stand inside of texts."""
    path = tmp_path / "mine.jsonl"
    path.write_text(
        changed(messages=[{"role": "user", "content": "a\u2028b"}]).replace("\\u2028", "\u2028") + "\n",
        encoding="utf-8",
    )
    assert read_cases(path)[0].messages[0]["content"] == "a\u2028b"
