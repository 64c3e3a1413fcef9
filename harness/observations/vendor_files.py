"""Read result files of vendors' verifiers: MiniMax-Provider-Verifier, K2-Vendor-Verifier, Kimi-Vendor-Verifier.

Formats are told by their fields, not by names of files. Rows are joined by ``data_index``, never by position; of rows that were
written twice the last one counts. Stored verdicts of rows are kept, and reasoning is looked for in every spelling.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.redact import safe_line
from harness.suites.vendor import Tally, VendorLoop, VendorRow

_MOST = 256 << 20  # bytes of one file
_COUNT = 1 << 30
_REASONING = ("reasoning_content", "reasoning", "reasoning_details")


def read_vendor_files(paths: Sequence[Path]) -> list[VendorLoop]:
    """Every pass in these files; raises UsageError for what is none of the known formats, or contradicts itself."""
    return [loop for path in paths for loop in _loops(path)]


def _loops(path: Path) -> list[VendorLoop]:
    try:
        if path.stat().st_size > _MOST:
            raise UsageError("the file is too large to be a result of a verifier", where=str(path))
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the file cannot be read: {error}", where=str(path), fix="give a UTF-8 file") from error
    try:
        value = json.loads(text)
    except ValueError:
        return [_from_rows(path, _lines(path, text))]
    except RecursionError as error:
        raise UsageError("the file is nested too deeply", where=str(path)) from error
    if isinstance(value, dict) and isinstance(value.get("loops"), list):  # several summaries in one file
        return [
            _from_summary(path, one.get("summary"), str(one.get("model", "")), f"{path.name}, loop {one.get('loop')}")
            for one in value["loops"]
            if isinstance(one, dict)
        ]
    if isinstance(value, dict) and isinstance(value.get("results"), list) and isinstance(value.get("summary"), dict):
        return [_from_kimi(path, value)]
    if isinstance(value, dict) and "data_index" in value:
        return [_from_rows(path, [value])]
    return [_from_summary(path, value, "", path.name)]


def _lines(path: Path, text: str) -> Iterable[dict[str, Any]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UsageError(
                "this line is not JSON", where=f"{path}:{number}", fix="give a results file as it was written"
            ) from error
        if not isinstance(row, dict) or "data_index" not in row:
            raise UsageError("this line is no row of a verifier: it has no data_index", where=f"{path}:{number}")
        yield row


def _from_summary(path: Path, value: Any, model: str, source: str) -> VendorLoop:
    """Counts of one pass by MiniMax's or K2's names."""
    if not isinstance(value, dict):
        raise UsageError("this is no summary of a verifier", where=str(path), fix=_KNOWN)
    name = safe_line(model or str(value.get("model", "")), 80)
    if "stop_finish_stop" in value:
        return _minimax(path, value, name, source)
    if "successful_tool_call_count" in value and "finish_tool_calls" in value:
        return _k2(path, value, name, source)
    if "tool_calls_finish_stop" in value:
        raise UsageError(
            "this summary is of version 0.1.0 of MiniMax's verifier, whose counts have the same names and another meaning",
            where=str(path),
            fix="give the rows (results.jsonl) instead",
        )
    raise UsageError("this is no summary of a known verifier", where=str(path), fix=_KNOWN)


_KNOWN = (
    "summaries and results of MiniMax-Provider-Verifier and K2-Vendor-Verifier, or Kimi's tool-call-schema-report.json"
)


def _minimax(path: Path, value: dict[str, Any], model: str, source: str) -> VendorLoop:
    n = _Counts(path, value)
    hit, miss = n("tool_calls_finish_tool_calls"), n("tool_calls_finish_stop")
    false, right = n("stop_finish_tool_calls"), n("stop_finish_stop")
    judged, labels = hit + miss + false + right + n("tool_calls_finish_others"), n("expected_tool_call_total_count")
    valid, invalid = n("tool_calls_successful_count"), n("tool_calls_schema_validation_error_count")
    if valid + invalid != hit or judged > labels:
        raise UsageError(
            "the counts of this summary contradict each other: calls that are valid and calls that are not do not add up",
            where=str(path),
        )
    return VendorLoop(
        source=source, form="minimax", model=model, calls=n("tool_calls_total_count"), positives=hit + false, hits=hit,
        wanted=hit + miss, finishes={"tool_calls": hit + false, "stop": miss + right, "others": n("tool_calls_finish_others")},
        tallies={
            "success": _tally(n("success_count"), n("all_count")),
            "match": Tally(right=hit + right, of=labels, most=judged),
            "schema": _tally(valid, hit),
            "not error-only": _tally(n("error_only_reasoning_checked_count") - n("error_only_reasoning_count"),
                                     n("error_only_reasoning_checked_count")),
            "language": _tally(n("language_following_valid_count"), n("language_following_checked_count")),
            "scenario": _tally(n("scenario_check_valid_count"), n("scenario_check_checked_count")),
        },
    )  # fmt: skip


def _k2(path: Path, value: dict[str, Any], model: str, source: str) -> VendorLoop:
    n = _Counts(path, value)
    every = n("success_count") + n("failure_count")
    called = n("finish_tool_calls")
    return VendorLoop(
        source=source, form="k2", model=model, positives=called,
        finishes={"tool_calls": called, "stop": n("finish_stop"), "others": n("finish_others")},
        tallies={"success": _tally(n("success_count"), every), "schema": _tally(n("successful_tool_call_count"), called)},
    )  # fmt: skip


def _from_kimi(path: Path, value: dict[str, Any]) -> VendorLoop:
    """Kimi's schema report: one result per case and mode, the last one of reruns."""
    states = [str(one.get("status")) for one in value["results"] if isinstance(one, dict)]
    run = [state for state in states if state in {"passed", "failed"}]
    if not run:
        raise UsageError("this report holds no case that was run", where=str(path))
    return VendorLoop(
        source=path.name, form="kimi-schema", model=safe_line(str(value.get("model", "")), 80),
        tallies={"schema cases": _tally(run.count("passed"), len(run))},
    )  # fmt: skip


def _from_rows(path: Path, rows: Iterable[dict[str, Any]]) -> VendorLoop:
    """Rows of MiniMax's or K2's verifier, counted anew."""
    last: dict[str, dict[str, Any]] = {}
    for row in rows:
        item = str(row["data_index"])
        if item not in last or str(row.get("last_run_at", "")) >= str(last[item].get("last_run_at", "")):
            last[item] = row
    read = tuple(_row(item, row) for item, row in last.items())
    minimax = any("error_only_reasoning_checked" in row or "expected_tool_call" in row for row in last.values())
    answered = [row for row in read if not row.failed]
    labelled = [row for row in read if row.expected is not None]
    matched = sum(row.finish == ("tool_calls" if row.expected else "stop") for row in labelled if not row.failed)
    called = [row for row in answered if row.finish == "tool_calls" and (row.expected or not minimax)]
    if not read:
        raise UsageError("the file is empty", where=str(path), fix=_KNOWN)
    first = next(iter(last.values()))
    request = first.get("request")
    return VendorLoop(
        source=path.name, form="minimax" if minimax else "k2", rows=read,
        model=safe_line(str(request.get("model", "") if isinstance(request, dict) else ""), 80),
        calls=sum(row.calls for row in answered), finishes=_finishes(answered),
        positives=sum(row.finish == "tool_calls" for row in answered),
        hits=sum(row.finish == "tool_calls" and bool(row.expected) for row in answered),
        wanted=sum(bool(row.expected) for row in read),
        tallies={
            "success": _tally(len(answered), len(read)),
            **({"match": _tally(matched, len(labelled))} if labelled else {}),
            "schema": _tally(sum(bool(row.valid) for row in called), len(called)),
            "not error-only": _tally(sum(not row.reasoning_only for row in answered), len(answered)),
            **_checked(last.values(), "language_following", "language"),
            **_checked(last.values(), "scenario_check", "scenario"),
        },
    )  # fmt: skip


def _row(item: str, row: dict[str, Any]) -> VendorRow:
    response = row.get("response")
    choices = response.get("choices") if isinstance(response, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    message = choice.get("message")
    said: dict[str, Any] = message if isinstance(message, dict) else {}
    calls = said.get("tool_calls")
    count = len(calls) if isinstance(calls, list) else 0
    field = next((name for name in _REASONING if said.get(name)), "")
    expected, valid = row.get("expected_tool_call"), row.get("tool_calls_valid")
    failed = "" if row.get("status") == "success" and choice else "no answer"
    return VendorRow(
        item=item, finish=safe_line(str(row.get("finish_reason") or choice.get("finish_reason") or ""), 40), calls=count,
        valid=valid if isinstance(valid, bool) else None, expected=expected if isinstance(expected, bool) else None,
        reasoning=field, reasoning_only=bool(field and not count and not str(said.get("content") or "").strip()), failed=failed,
    )  # fmt: skip


def _checked(rows: Iterable[dict[str, Any]], field: str, name: str) -> dict[str, Tally]:
    found = [row.get(f"{field}_valid") for row in rows if row.get(f"{field}_checked")]
    judged = [one for one in found if isinstance(one, bool)]
    return {name: _tally(sum(judged), len(judged))} if judged else {}


def _finishes(rows: Iterable[VendorRow]) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in rows:
        found[row.finish or "none"] = found.get(row.finish or "none", 0) + 1
    return found


def _tally(right: int, of: int) -> Tally:
    return Tally(right=right, of=of, most=of)


class _Counts:
    """Counts of a summary by name; anything that is no count is an error."""

    def __init__(self, path: Path, value: dict[str, Any]) -> None:
        self._path, self._value = path, value

    def __call__(self, name: str) -> int:
        found = self._value.get(name)
        if type(found) is not int or not 0 <= found < _COUNT:
            raise UsageError(f"{name} is no count", where=str(self._path), fix="give the file as the verifier wrote it")
        return found
