"""Read result files of vendors' verifiers: MiniMax-Provider-Verifier, K2-Vendor-Verifier, Kimi-Vendor-Verifier.

Formats are told by their fields, not by names of files. Rows are joined by ``data_index``, never by position; of rows that were
written twice the last one counts. Stored verdicts of rows are kept, and reasoning is looked for in every spelling.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.redact import safe_line
from harness.suites.vendor import Tally, VendorLoop, VendorRow

_MOST = 256 << 20  # bytes of one file
_COUNT = 1 << 30
_REASONING = ("reasoning_content", "reasoning", "reasoning_details")


def read_vendor_files(files: Sequence[tuple[str, Path]]) -> list[VendorLoop]:
    """Every pass in these files, each with a label, which stands for the model's own name where it is not empty.

    Raises UsageError for what is none of the known formats, or contradicts itself.
    """
    found = []
    for label, path in files:
        found += [loop.model_copy(update={"model": safe_line(label, 80)}) if label else loop for loop in _loops(path)]
    return found


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
    for number, line in enumerate(text.split("\n"), start=1):
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
    if n("success_count") > n("all_count"):
        raise UsageError(
            "more answers than attempts: this is the summary of an incremental run", where=str(path),
            fix="give the rows (results.jsonl) instead",
        )  # fmt: skip
    hit, miss = n("tool_calls_finish_tool_calls"), n("tool_calls_finish_stop")
    false, right = n("stop_finish_tool_calls"), n("stop_finish_stop")
    others, labels = n("tool_calls_finish_others"), n("expected_tool_call_total_count")
    valid, invalid = n("tool_calls_successful_count"), n("tool_calls_schema_validation_error_count")
    judged = hit + miss + false + right + others
    if valid + invalid != hit or judged > labels:
        raise UsageError(
            "the counts of this summary contradict each other: calls that are valid and calls that are not do not add up",
            where=str(path),
        )
    checked = n("error_only_reasoning_checked_count")
    return VendorLoop(
        source=source, form="minimax", model=model, calls=n("tool_calls_total_count"), positives=hit + false, hits=hit,
        wanted=hit + miss + others, finishes={"tool_calls": hit + false, "stop": miss + right, "others": others},
        tallies={
            "success": _tally(n("success_count"), n("all_count"), path),
            "match": _tally(hit + right, labels, path, most=judged),
            "schema": _tally(valid, hit, path),
            "not error-only": _tally(checked - n("error_only_reasoning_count"), checked, path),
            "language": _tally(n("language_following_valid_count"), n("language_following_checked_count"), path),
            "scenario": _tally(n("scenario_check_valid_count"), n("scenario_check_checked_count"), path),
        },
    )  # fmt: skip


def _k2(path: Path, value: dict[str, Any], model: str, source: str) -> VendorLoop:
    n = _Counts(path, value)
    called = n("finish_tool_calls")
    return VendorLoop(
        source=source, form="k2", model=model, positives=called,
        finishes={"tool_calls": called, "stop": n("finish_stop"), "others": n("finish_others")},
        tallies={
            "success": _tally(n("success_count"), n("success_count") + n("failure_count"), path),
            "schema": _tally(n("successful_tool_call_count"), called, path),
        },
    )  # fmt: skip


def _from_kimi(path: Path, value: dict[str, Any]) -> VendorLoop:
    """Kimi's schema report: one result per case and mode; of reruns the last one, so that the rate is one of several tries."""
    states: dict[tuple[str, ...], str] = {}
    for one in value["results"]:
        if isinstance(one, dict):
            states[tuple(str(one.get(name)) for name in ("suite", "line", "mode"))] = str(one.get("status"))
    run = [state for state in states.values() if state in {"passed", "failed"}]
    if not run:
        raise UsageError("this report holds no case that was run", where=str(path))
    return VendorLoop(
        source=path.name, form="kimi-schema", model=safe_line(str(value.get("model", "")), 80),
        tallies={"schema cases": _tally(run.count("passed"), len(run), path)},
        note="cases that failed may have been tried again: the rate is that of the last try, and a reply cut by its limit fails",
    )  # fmt: skip


def _from_rows(path: Path, rows: Iterable[dict[str, Any]]) -> VendorLoop:
    """Rows of MiniMax's or K2's verifier, counted anew by the rules of its summaries."""
    last: dict[str, dict[str, Any]] = {}
    for row in rows:
        item = str(row["data_index"])
        if item not in last or str(row.get("last_run_at", "")) >= str(last[item].get("last_run_at", "")):
            last[item] = row
    if not last:
        raise UsageError("the file is empty", where=str(path), fix=_KNOWN)
    minimax = any("error_only_reasoning_checked" in row or "expected_tool_call" in row for row in last.values())
    read = [(row, _row(item, row)) for item, row in last.items()]
    answered = [(row, one) for row, one in read if not one.failed]
    labelled = [(row, one) for row, one in read if one.expected is not None]
    judged = [
        one for row, one in labelled if not row.get("scenario_check_checked")
    ]  # those are labelled and never judged
    matched = sum(one.finish == ("tool_calls" if one.expected else "stop") for one in judged if not one.failed)
    called = [one for _, one in answered if one.finish == "tool_calls" and (one.expected or not minimax)]
    told = [bool(row.get("error_only_reasoning")) for row, _ in read if row.get("error_only_reasoning_checked")]
    request = next(iter(last.values())).get("request")
    return VendorLoop(
        source=path.name, form="minimax" if minimax else "k2", rows=tuple(one for _, one in read),
        model=safe_line(str(request.get("model", "") if isinstance(request, dict) else ""), 80),
        calls=sum(one.calls for _, one in answered), finishes=_finishes(one for _, one in answered),
        positives=sum(one.finish == "tool_calls" for _, one in answered),
        hits=sum(one.finish == "tool_calls" and bool(one.expected) for _, one in answered),
        wanted=sum(bool(one.expected) for _, one in read),
        tallies={
            "answered": _tally(len(answered), len(read), path),
            **({"match": _tally(matched, len(labelled), path, most=len(judged))} if labelled else {}),
            "schema": _tally(sum(bool(one.valid) for one in called), len(called), path),
            **({"not error-only": _tally(len(told) - sum(told), len(told), path)} if told else {}),
            "not reasoning alone": _tally(sum(not one.reasoning_only for _, one in answered), len(answered), path),
            **_checked(last.values(), "language_following", "language", path),
            **_checked(last.values(), "scenario_check", "scenario", path),
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
    content = str(said.get("content") or "")
    left = re.sub(r"(?s)<(mm:)?think>.*?(</(mm:)?think>|$)", "", content)  # reasoning in the text itself
    fields = (*(name for name in _REASONING if said.get(name)), *(("content",) if left != content else ()))
    expected, valid = row.get("expected_tool_call"), row.get("tool_calls_valid")
    request = row.get("request")
    asked = {key: value for key, value in request.items() if key not in _NOT_ASKED} if isinstance(request, dict) else {}
    return VendorRow(
        item=item, finish=safe_line(str(row.get("finish_reason") or choice.get("finish_reason") or ""), 40), calls=count,
        valid=valid if isinstance(valid, bool) else None, expected=expected if isinstance(expected, bool) else None,
        reasoning=fields, reasoning_only=bool(fields and not count and not left.strip()),
        failed="" if row.get("status") == "success" and choice else "no answer",
        prompt=hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16],
    )  # fmt: skip


#: Fields of a request that are not the question.
_NOT_ASKED = frozenset({"model", "stream", "stream_options", "max_tokens", "temperature", "top_p"})


def _checked(rows: Iterable[dict[str, Any]], field: str, name: str, path: Path) -> dict[str, Tally]:
    found = [row.get(f"{field}_valid") for row in rows if row.get(f"{field}_checked")]
    judged = [one for one in found if isinstance(one, bool)]
    return {name: _tally(sum(judged), len(judged), path)} if judged else {}


def _finishes(rows: Iterable[VendorRow]) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in rows:
        found[row.finish or "none"] = found.get(row.finish or "none", 0) + 1
    return found


def _tally(right: int, of: int, path: Path, most: int | None = None) -> Tally:
    most = of if most is None else most
    if not 0 <= right <= most <= of:
        raise UsageError(f"the counts contradict each other: {right} right of {of}", where=str(path), fix=_KNOWN)
    return Tally(right=right, of=of, most=most)


class _Counts:
    """Counts of a summary by name; anything that is no count is an error."""

    def __init__(self, path: Path, value: dict[str, Any]) -> None:
        self._path, self._value = path, value

    def __call__(self, name: str) -> int:
        found = self._value.get(name)
        if type(found) is not int or not 0 <= found < _COUNT:
            raise UsageError(f"{name} is no count", where=str(self._path), fix="give the file as the verifier wrote it")
        return found
