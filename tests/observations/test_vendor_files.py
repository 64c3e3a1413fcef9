"""Result files of vendors' verifiers: the shapes that they have, and what is refused."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from harness.cli.main import cli
from harness.errors import UsageError
from harness.observations.vendor_files import read_vendor_files

SUMMARY = {
    "model": "minimax-m2.5", "success_count": 102, "failure_count": 0, "all_count": 102, "success_rate": 1.0,
    "language_following_checked_count": 2, "language_following_valid_count": 2, "language_following_invalid_count": 0,
    "scenario_check_checked_count": 1, "scenario_check_valid_count": 1, "scenario_check_invalid_count": 0,
    "tool_calls_finish_tool_calls": 84, "tool_calls_finish_stop": 0, "stop_finish_tool_calls": 1, "stop_finish_stop": 14,
    "tool_calls_finish_others": 0, "expected_tool_call_total_count": 100, "tool_calls_schema_validation_error_count": 2,
    "tool_calls_successful_count": 82, "tool_calls_total_count": 155, "error_only_reasoning_checked_count": 102,
    "error_only_reasoning_count": 0,
}  # fmt: skip
K2 = {
    "model": "m", "success_count": 4000, "failure_count": 0, "finish_stop": 3100, "finish_tool_calls": 880,
    "finish_others": 20, "finish_others_detail": {"length": 20}, "schema_validation_error_count": 4,
    "successful_tool_call_count": 876,
}  # fmt: skip
KIMI = {
    "generated_at": "2026-09-23T04:00:00+00:00", "model": "kimi", "summary": {"total": 3},
    "results": [{"suite": "s", "line": n, "mode": "stream", "status": state} for n, state in
                enumerate(["passed", "failed", "skipped"])] + [{"suite": "s", "line": 0, "mode": "stream", "status": "passed"}],
}  # fmt: skip


def answer(**message):
    return {
        "choices": [{"index": 0, "finish_reason": message.pop("finish"), "message": {"role": "assistant"} | message}]
    }


def line(number, finish, expected, *, status="success", at="2026-09-01T10:00:00", valid=None, **message):
    return {
        "data_index": number, "request": {"model": "m3"}, "status": status, "finish_reason": finish, "last_run_at": at,
        "response": answer(finish=finish, **message) if status == "success" else {"error": "timeout"},
        "expected_tool_call": expected, "error_only_reasoning_checked": 1, "error_only_reasoning": False,
        **({} if valid is None else {"tool_calls_valid": valid}),
    }  # fmt: skip


CALL = [{"id": "call_1", "type": "function", "function": {"name": "shell", "arguments": "{}"}}]


@pytest.fixture
def read(tmp_path):
    def written(content, name="file.json"):
        path = tmp_path / name
        text = content if isinstance(content, str) else json.dumps(content)
        path.write_text(text, encoding="utf-8")
        return read_vendor_files([("", path)])

    return written


def test_a_summary_of_minimax_is_read_by_its_fields(read):
    """The labelled row that is never judged lowers the ceiling."""
    (loop,) = read(SUMMARY)
    assert (loop.form, loop.model, loop.calls, loop.positives) == ("minimax", "minimax-m2.5", 155, 85)
    assert (loop.tallies["match"].right, loop.tallies["match"].of, loop.tallies["match"].most) == (98, 100, 99)
    assert (loop.tallies["schema"].right, loop.tallies["schema"].of) == (82, 84)


def test_a_row_that_is_never_judged_lowers_the_ceiling_of_rows_as_of_summaries(read):
    """A scenario is labelled, and no verdict on calls is made of it."""
    scenario = line(2, "stop", False, content="a, b") | {"scenario_check_checked": True, "scenario_check_valid": True}
    rows = [line(1, "tool_calls", True, valid=True, tool_calls=CALL), scenario]
    (loop,) = read("\n".join(map(json.dumps, rows)), "rows.jsonl")
    match = loop.tallies["match"]
    assert (match.right, match.of, match.most) == (1, 2, 1)


def test_text_breaks_inside_of_a_line_do_not_end_it(read):
    """Verifiers write U+2028 as it is."""
    row = line(1, "stop", False, content="one\u2028two")
    (loop,) = read(json.dumps(row, ensure_ascii=False) + "\n", "rows.jsonl")
    assert len(loop.rows) == 1


def test_reasoning_inside_of_a_text_is_no_answer(read):
    """Whatever the markers are called."""
    rows = [
        line(1, "stop", False, content="<mm:think>hm</mm:think>"),
        line(2, "stop", False, content="<think>hm</think>yes"),
    ]
    (loop,) = read("\n".join(map(json.dumps, rows)), "rows.jsonl")
    assert [row.reasoning_only for row in loop.rows] == [True, False]


def test_a_summary_of_k2_has_no_labels(read):
    """Rates of success and schema alone; ends of answers are kept apart."""
    (loop,) = read(K2)
    assert (loop.form, loop.finishes) == ("k2", {"tool_calls": 880, "stop": 3100, "others": 20})
    assert set(loop.tallies) == {"success", "schema"}


def test_a_schema_report_of_kimi_counts_cases_that_were_run(read):
    """Skipped ones are no cases."""
    (loop,) = read(KIMI)
    assert (loop.tallies["schema cases"].right, loop.tallies["schema cases"].of) == (1, 2)


def test_rows_are_counted_anew(read):
    """The newest of two rows of one item; length and failures are no answer without a call; reasoning in any spelling."""
    rows = [
        line(1, "tool_calls", True, valid=True, tool_calls=CALL),
        line(2, "stop", False, content="no"),
        line(3, "length", False, content="cut"),
        line(4, None, True, status="failed"),
        line(5, "stop", False, content="", reasoning_content="hm"),
        line(1, "stop", True, at="2026-08-01T10:00:00", content="older"),
    ]
    (loop,) = read("\n".join(map(json.dumps, rows)), "rows.jsonl")
    assert (loop.form, loop.model, len(loop.rows)) == ("minimax", "m3", 5)
    assert (loop.tallies["match"].right, loop.tallies["match"].of) == (3, 5)
    assert (loop.tallies["answered"].right, loop.tallies["answered"].of) == (4, 5)
    assert (loop.tallies["not reasoning alone"].right, loop.tallies["not reasoning alone"].of) == (3, 4)
    assert loop.tallies["not error-only"].right == 5  # as the verifier itself counts
    assert loop.finishes == {"tool_calls": 1, "stop": 2, "length": 1}
    assert (loop.calls, loop.positives) == (1, 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": 1}, "no summary of a known verifier"),
        ([1, 2], "no summary of a verifier"),
        ({k: v for k, v in SUMMARY.items() if k != "stop_finish_stop"}, "version 0.1.0"),
        (SUMMARY | {"tool_calls_successful_count": 84}, "contradict"),
        (SUMMARY | {"success_count": "many"}, "is no count"),
        (SUMMARY | {"success_count": -1}, "is no count"),
        (SUMMARY | {"success_count": 103}, "incremental"),
        (SUMMARY | {"language_following_valid_count": 3}, "contradict"),
        (K2 | {"successful_tool_call_count": 881}, "contradict"),
        (KIMI | {"results": []}, "no case"),
        ('{"data_index": 1}\nnot json', "not JSON"),
        ('{"a": 1}\n{"b": 2}', "data_index"),
        ("", "is empty"),
    ],
)
def test_what_is_no_result_of_a_verifier_is_refused(read, content, message):
    """With file and reason; nothing is guessed, and no old name is taken for a new one."""
    with pytest.raises(UsageError, match=message):
        read(content)


def test_the_command_prints_rates_and_writes_the_card(tmp_path):
    """Names of models are shown safely."""
    path = tmp_path / "summary.json"
    path.write_text(json.dumps(SUMMARY | {"model": "evil\x1b[31m"}), encoding="utf-8")
    done = CliRunner().invoke(cli, ["vendor", str(path), f"host={path}", "--json", str(tmp_path / "card.json")])
    assert done.exit_code == 0
    assert "\x1b" not in done.stdout
    assert "98.00 %" in done.stdout
    models = json.loads((tmp_path / "card.json").read_text())["facts"]["models"]
    assert [(model["model"].startswith("evil"), model["loops"]) for model in models] == [(True, 1), (False, 1)]
    assert models[1]["model"] == "host"
