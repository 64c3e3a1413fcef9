"""Tools offered to real models: a checkpoint by its own template, a llama.cpp server, hosts that break something, records."""

from __future__ import annotations

import json
import shutil

import pytest

from harness.config import Places
from harness.errors import EndpointUnreachable, TargetRefused, UsageError
from harness.observations.events import PlanReady, Stop
from harness.suites.load import shipped_folder
from harness.targets.endpoint.local import local_host
from harness.targets.spec import Runtime
from harness.tasking.judging import judge
from harness.tasking.requests import ToolRequest
from harness.tasking.run import run_tools
from harness.tasking.store import TaskFolder
from tests.support.call_templates import SHOWING
from tests.support.tool_hosts import FAULTS, Memory, serving

TOKENS = 64
#: How many cases of which kinds: those with short prompts, in which a small model calls if its template shows it how.
KINDS = {"special": 14, "must-call": 8, "required": 6, "none": 3, "must-not-call": 3}


@pytest.fixture(scope="module")
def few_cases(tmp_path_factory):
    """Some of the shipped cases, with their streams."""
    path = tmp_path_factory.mktemp("cases") / "few.jsonl"
    lines = [
        json.loads(line)
        for line in (shipped_folder() / "tools" / "cases.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    kept = [one for kind, most in KINDS.items() for one in [one for one in lines if one["kind"] == kind][:most]]
    names = {one["id"] for one in kept}
    kept += [one for one in lines if one.get("twin") in names]
    path.write_text("".join(json.dumps(one) + "\n" for one in kept), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def memory(smollm_gguf):
    """The answers of a real llama.cpp server with a template that shows how to call."""
    with local_host(smollm_gguf, SHOWING) as address:
        yield Memory(address)


def run(reference, *candidates, cases, results, cache=None, **options):
    """A finished run: its card, its folder and its events."""
    usual = {"max_tokens": TOKENS, "alpha": 0.05, "runtime": Runtime(dtype="fp32", threads=1)}
    given = {"reference": str(reference), "candidates": tuple(map(str, candidates)), "cases": cases}
    request = ToolRequest(**given | usual | options)
    walk = run_tools(request, Places(results, cache or Places.default().cache), Stop())
    events = []
    while True:
        try:
            events.append(next(walk))
        except StopIteration as end:
            return *end.value, events


def shares(card):
    return {one.aspect: one for one in card.candidates[0].tools.shares}


@pytest.mark.slow
def test_a_host_that_serves_the_same_is_not_accused(memory, few_cases, tmp_path):
    """A real server behind an honest gateway: real calls, real streams, and nothing that differs."""
    with serving(memory) as one, serving(memory) as other:
        card, folder, _ = run(one.address, other.address, cases=few_cases, results=tmp_path)
    tools = card.candidates[0].tools
    assert tools.trigger.f1 == 1.0
    assert tools.trigger.both >= 5  # the model does call
    assert shares(card)["streams"].candidate.right == shares(card)["streams"].candidate.of
    assert card.outcome in {"INCONCLUSIVE", "WITHIN"}
    assert {one.code for one in card.candidates[0].findings} == set()
    assert "F1 100.0 %" in (folder / "report.html").read_text(encoding="utf-8")


EXPECTED = {
    "calls are not parsed": ("BEYOND", {"TOOL701", "TOOL705"}),
    "finish_reason is always stop": ("BEYOND", {"TOOL707"}),
    "calls have no ids": ("BEYOND", {"TOOL708"}),
    "arguments lose their last letter": ("BEYOND", {"TOOL703"}),
    "everything becomes reasoning": ("BEYOND", {"TOOL706"}),
    "streams lose calls": (None, {"TOOL714"}),
    "tools are left out of the prompt": (None, {"TOOL701"}),
    "replies are cut at 8 tokens": ("BEYOND", {"TASK603"}),
    "tools are refused": ("NOT_TESTABLE", {"TOOL712"}),
}


def test_a_real_host_that_does_not_parse_calls_is_named(memory, few_cases, tmp_path):
    """In four cases: calls that the honest server returns stand in the text of the broken one."""
    lines = [one for one in few_cases.read_text(encoding="utf-8").splitlines(keepends=True) if '"special"' in one]
    cases = tmp_path / "four.jsonl"
    cases.write_text("".join(lines[:4]), encoding="utf-8")
    with serving(memory) as honest, serving(memory, FAULTS["calls are not parsed"]) as broken:
        card, _, _ = run(honest.address, broken.address, cases=cases, results=tmp_path)
    found = {one.code: one.detail for one in card.candidates[0].findings}
    assert "4 of 4 replies, 0 of" in found["TOOL714"]
    assert "<tool_call>" in found["TOOL714"]


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_of_a_host_is_found_and_named(fault, memory, few_cases, tmp_path):
    """By its code; what these few cases cannot decide is at least seen."""
    outcome, codes = EXPECTED[fault]
    with serving(memory) as honest, serving(memory, FAULTS[fault]) as broken:
        card, _, _ = run(honest.address, broken.address, cases=few_cases, results=tmp_path)
    found = card.candidates[0]
    assert codes <= {one.code for one in found.findings}, (found.verdict, found.findings)
    assert outcome in {None, card.outcome}, found.verdict


@pytest.mark.slow
def test_a_checkpoint_is_read_by_its_own_template(memory, smollm, few_cases, tmp_path):
    """The same weights and template, once by our own reading and once by llama.cpp's parser: the same tools are called."""
    own = tmp_path / "own"
    shutil.copytree(smollm, own, symlinks=True)
    (own / "chat_template.jinja").unlink(missing_ok=True)
    (own / "chat_template.jinja").write_text(SHOWING, encoding="utf-8")
    asked = [line for line in few_cases.read_text(encoding="utf-8").splitlines(keepends=True) if '"special"' in line]
    cases = tmp_path / "special.jsonl"
    cases.write_text("".join(asked), encoding="utf-8")
    with serving(memory) as running:
        card, folder, _ = run(own, running.address, cases=cases, results=tmp_path, control=False)
    tools = card.candidates[0].tools
    assert tools.trigger.both >= 5
    assert tools.trigger.f1 > 0.7
    assert shares(card)["protocol"].reference.right == shares(card)["protocol"].reference.of
    assert judge(TaskFolder(folder)) == card


@pytest.mark.slow
def test_a_record_stands_for_its_reference(memory, few_cases, tmp_path):
    """Asked once, twice over, and read by everybody; a record of other requests, or of nothing, is refused."""
    record = tmp_path / "official.json"
    with serving(memory) as running:
        card, _, events = run(running.address, cases=few_cases, results=tmp_path, record=record)
        assert card is None
        assert [event.targets for event in events if isinstance(event, PlanReady)] == [2]
        card, _, _ = run(record, running.address, cases=few_cases, results=tmp_path)
        assert card.reference == running.address
        assert card.control == f"{running.address}, asked again"
        assert card.candidates[0].tools.trigger.f1 == 1.0
        with pytest.raises(UsageError, match="other requests"):
            run(record, running.address, cases=few_cases, results=tmp_path, max_tokens=TOKENS + 1)
        broken = tmp_path / "broken.json"
        broken.write_text('{"record_version": 1}', encoding="utf-8")
        with pytest.raises(UsageError, match="no record of answers"):
            run(broken, running.address, cases=few_cases, results=tmp_path)
    with (
        serving(memory, FAULTS["tools are refused"]) as refusing,
        pytest.raises(EndpointUnreachable, match="nothing was answered"),
    ):
        run(refusing.address, cases=few_cases, results=tmp_path, record=tmp_path / "empty.json")
    assert not (tmp_path / "empty.json").exists()


def test_a_reference_whose_template_shows_no_calls_is_refused(toy, few_cases, shared_cache, tmp_path):
    """With the reason, before anybody else is asked; and not as a model that never calls."""
    with pytest.raises(TargetRefused, match="cannot be read"):
        run(toy, "https://a.example/v1", cases=few_cases, results=tmp_path, cache=shared_cache, max_tokens=4)


def test_nothing_to_compare_is_a_usage_error(few_cases, tmp_path):
    """Neither candidates nor a record to write."""
    with pytest.raises(UsageError, match="--record"):
        run("https://a.example/v1", cases=few_cases, results=tmp_path)
    with pytest.raises(UsageError, match="max-tokens"):
        run("https://a.example/v1", "https://b.example/v1", cases=few_cases, results=tmp_path, max_tokens=0)
