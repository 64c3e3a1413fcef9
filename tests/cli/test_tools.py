"""``fidelity tools`` as users give it: a card, a page, a stored run that other verbs know, errors that say what to do."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from harness.cli.main import cli
from harness.comparisons.tool_plants import right_reply, wrong_reply
from harness.suites.tool_cases import read_cases, shipped_cases
from tests.support.hosts import host

HOSTILE = "<script>alert(1)</script>\x1b[31m\u202eevil"


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """A dozen cases of every sort."""
    path = tmp_path_factory.mktemp("cases") / "dozen.jsonl"
    kept = [one for one in shipped_cases() if not one.stream][::12]
    path.write_text("".join(one.model_dump_json() + "\n" for one in kept), encoding="utf-8")
    return path


def answering(cases, aspect="", text=""):
    """A host of our own that answers rightly, or fails an aspect; ``text`` is put behind what it says."""
    known = {json.dumps(list(one.messages)): one for one in read_cases(cases)}

    def answer(asked, _):
        case = known[json.dumps(asked.body["messages"])]
        reply = wrong_reply(case, aspect) if aspect else right_reply(case)
        calls = [{"id": f"c{n}", "type": "function", "function": {"name": one.name, "arguments": one.arguments}}
                 for n, one in enumerate(reply.calls)]  # fmt: skip
        message = {"role": "assistant", "content": reply.text + text, "tool_calls": calls or None}
        body = {
            "choices": [{"index": 0, "finish_reason": reply.finish, "message": message}],
            "usage": {"completion_tokens": 5},
        }
        return 200, {}, json.dumps(body).encode()

    return host(answer)


def call(*arguments):
    return CliRunner().invoke(cli, ["tools", *map(str, arguments), "--display", "none"], standalone_mode=False)


def test_a_run_is_shown_stored_and_judged_again(cases, tmp_path):
    """By the terminal, the page, and the verbs that know stored runs."""
    with answering(cases) as ours, answering(cases, "marks") as theirs:
        found = call(ours.address, theirs.address, "--cases", cases, "--results", tmp_path, "--alpha", "0.05")
    assert found.return_value in {1, 3}
    assert "no marks of the template" in found.output
    assert "TOOL705" in found.output
    assert found.output.strip().splitlines()[-1].startswith("VERDICT: ")
    for verb in (["ls"], ["show", "latest"], ["report", "latest", "--format", "json"], ["report", "latest"]):
        again = CliRunner().invoke(cli, [*verb, "--results", str(tmp_path)], standalone_mode=False)
        assert again.exception is None, (verb, again.output)
        assert theirs.address in again.output
    assert "TOOL705" in next(tmp_path.glob("*/report.html")).read_text(encoding="utf-8")


def test_what_models_say_cannot_harm_who_reads_it(cases, tmp_path):
    """Markup, escapes and reversed text stay text, in the terminal as on the page."""
    with answering(cases) as ours, answering(cases, "trigger", HOSTILE) as theirs:
        found = call(ours.address, theirs.address, "--cases", cases, "--results", tmp_path)
    page = next(tmp_path.glob("*/report.html")).read_text(encoding="utf-8")
    assert "<script>" not in page
    assert "\x1b[31m" not in found.output
    assert "\u202e" not in found.output + page


def test_a_reference_can_be_recorded(cases, tmp_path):
    """And says where; a candidate is then held against the file."""
    record = tmp_path / "official.json"
    with answering(cases) as running:
        found = call(running.address, "--record", record, "--cases", cases, "--results", tmp_path)
        assert (found.return_value, f"recorded: {record}" in found.output) == (0, True)
        held = call(record, running.address, "--cases", cases, "--results", tmp_path)
    assert "whole case is right" in held.output
    assert json.loads(record.read_text(encoding="utf-8"))["label"] == running.address


def test_a_missing_file_of_cases_is_a_usage_error(tmp_path):
    """Before anybody is asked."""
    found = call("https://a.example/v1", "https://b.example/v1", "--cases", tmp_path / "none.jsonl")
    assert "none.jsonl" in str(found.exception)
