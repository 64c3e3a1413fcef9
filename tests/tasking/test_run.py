"""Whole task runs on real toy models: the same items for all, resumed without asking again, judged again without a model."""

from __future__ import annotations

import json
import re
import shutil

import pytest
from click.testing import CliRunner

from harness.cli.main import cli
from harness.config import Places
from harness.errors import Interrupted, StoredRunError, UsageError
from harness.observations.events import PlanReady, Stop, TargetStarted, TokensScored
from harness.suites.load import shipped_folder
from harness.suites.requests import Continuation, Writing
from harness.targets.spec import Runtime
from harness.tasking.judging import judge
from harness.tasking.planning import steps
from harness.tasking.requests import TaskRequest
from harness.tasking.run import run_tasks
from harness.tasking.store import TaskFolder
from tests.support.toy import edit_tensors, make_toy

TASKS = ("fidelity_choices", "fidelity_arithmetic_easy")


def run(reference, *candidates, cache, results, stop=None, listen=None, **options):
    """A finished run: its card, its folder and its events."""
    request = TaskRequest(reference=str(reference), candidates=tuple(map(str, candidates)),
                          **({"tasks": TASKS, "limit": 5, "runtime": Runtime(threads=1)} | options))  # fmt: skip
    walk = run_tasks(request, Places(results, cache), stop or Stop())
    events = []
    while True:
        try:
            events.append(next(walk))
            if listen:
                listen(events[-1])
        except StopIteration as end:
            return *end.value, events


@pytest.fixture(scope="module")
def noisy(toy, tmp_path_factory):
    """The toy with one matrix damaged: another model by its answers."""
    folder = make_toy(tmp_path_factory.mktemp("noisy") / "copy")
    edit_tensors(folder, lambda name, tensor: tensor.flip(0) if "layers.0.mlp.up" in name else tensor)
    return folder


def test_the_reference_against_itself_changes_no_answer(toy, shared_cache, tmp_path):
    """No flip, no churn; too few items to clear anybody, and the exit code says so."""
    card, folder, events = run(toy, toy, cache=shared_cache, results=tmp_path)
    facts = card.candidates[0].facts
    assert [(task.right_to_wrong, task.churned, task.items) for task in facts.tasks] == [(0, 0, 5), (0, 0, 5)]
    assert card.exit_code == 3
    assert {task.churned_control for task in facts.tasks} != {-1}
    assert (folder / "report.html").exists()
    (ready,) = (event for event in events if isinstance(event, PlanReady))
    assert (ready.documents, ready.targets) == (10, 3)


def test_every_target_answers_the_same_requests(toy, noisy, shared_cache, tmp_path):
    """A damaged copy changes answers, which the card shows side by side."""
    card, folder, _ = run(toy, noisy, cache=shared_cache, results=tmp_path, control=False)
    facts = card.candidates[0].facts
    assert sum(task.churned for task in facts.tasks) > 0
    assert facts.examples[0].reference != facts.examples[0].candidate
    assert card.control == ""
    assert "without a control" in (folder / "report.html").read_text(encoding="utf-8")


def test_an_interrupted_run_asks_nothing_twice(toy, noisy, shared_cache, tmp_path):
    """The same command goes on; what was answered is not answered again, and the result is that of an unbroken run."""
    stop = Stop()

    def listen(event):
        stop.wanted = stop.wanted or isinstance(event, TokensScored)

    with pytest.raises(Interrupted):
        run(toy, noisy, cache=shared_cache, results=tmp_path, stop=stop, listen=listen)
    card, folder, events = run(toy, noisy, cache=shared_cache, results=tmp_path)
    asked = {event.label: event.tokens for event in events if isinstance(event, TargetStarted)}
    assert 0 < asked["reference"] < 25
    assert len(list(tmp_path.iterdir())) == 1
    whole, other, _ = run(toy, noisy, cache=shared_cache, results=tmp_path / "other")
    assert whole.candidates[0].facts == card.candidates[0].facts
    assert other != folder


def test_a_stored_run_is_judged_again_bit_for_bit(toy, noisy, shared_cache, tmp_path):
    """Without a model; another plan starts a run of its own."""
    card, folder, _ = run(toy, noisy, cache=shared_cache, results=tmp_path)
    stored = (folder / "tasks.json").read_bytes()
    (folder / "tasks.json").unlink()
    assert judge(TaskFolder(folder)) == card
    again = CliRunner().invoke(
        cli, ["report", folder.name, "--format", "json", "--results", str(tmp_path)], standalone_mode=False
    )
    assert json.loads(again.stdout) == json.loads(stored)
    assert folder.name in CliRunner().invoke(cli, ["ls", "--results", str(tmp_path)]).stdout
    assert "25 answers" in CliRunner().invoke(cli, ["show", folder.name, "--results", str(tmp_path)]).stdout
    other = tmp_path / "20260101T000000Z-tasks-000000"
    other.mkdir()
    (other / "plan.json").write_text("{}")
    assert "unreadable" in CliRunner().invoke(cli, ["ls", "--results", str(tmp_path)]).stdout
    with pytest.raises(StoredRunError, match="cannot be read"):
        _ = TaskFolder(other).plan
    shutil.rmtree(other)
    assert (folder / "tasks.json").read_bytes() == stored
    (folder / "tasks.json").unlink()
    run(toy, noisy, cache=shared_cache, results=tmp_path, runtime=Runtime(threads=1, dtype="bf16"))
    assert len(list(tmp_path.iterdir())) == 2  # another number format is another plan


def test_a_task_of_ones_own_runs_like_a_shipped_one(toy, shared_cache, tmp_path):
    """A YAML file by its path."""
    text = (shipped_folder() / "tasks" / "arithmetic_easy.yaml").read_text(encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(
        text.replace("fidelity_arithmetic_easy", "mine").replace("!function functions", "!function reader"),
        encoding="utf-8",
    )
    source = (shipped_folder() / "tasks" / "functions.py").read_text(encoding="utf-8")
    (tmp_path / "reader.py").write_text(source, encoding="utf-8")
    (tmp_path / "arithmetic").mkdir()
    (tmp_path / "arithmetic" / "easy.jsonl").write_text(json.dumps({"id": "a", "sum": "1 + 1", "answer": "2"}) + "\n")
    card, _, _ = run(
        toy, toy, cache=shared_cache, results=tmp_path / "r", tasks=(str(tmp_path / "mine.yaml"),), limit=0
    )
    assert [head.name for head in card.tasks] == ["mine"]
    assert card.candidates[0].facts.tasks[0].items == 1


def test_steps_keep_openings_together_and_cover_everything_once(toy):
    """Long requests first; all continuations of one opening are in one step."""
    from harness.observations.lm_eval import load_tasks

    asked = load_tasks(TASKS, chat=True, limit=30).asked()
    made = list(steps(asked, 8))
    assert sorted(one.key for step in made for one in step) == sorted(one.key for one in asked)
    for step in made:
        openings = [one.opening for one in step if isinstance(one, Continuation)]
        assert len({one.model_dump_json() for one in openings}) * 4 == len(openings)
        assert sum(isinstance(one, Writing) for one in step) <= 8


def test_what_cannot_be_asked_for_is_refused_before_anything_runs(toy, shared_cache, tmp_path):
    """No candidate, a margin beyond all, a negative limit."""
    for options in ({"margin": 2.0}, {"alpha": 0.0}, {"limit": -1}):
        with pytest.raises(UsageError):
            run(toy, toy, cache=shared_cache, results=tmp_path, **options)
    with pytest.raises(UsageError, match="no candidate"):
        run(toy, cache=shared_cache, results=tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_command_prints_the_verdict_last(toy, noisy, tmp_path):
    """A table, the findings, one line per candidate and one over all; the shipped tasks are listed on request."""
    runner = CliRunner()
    arguments = ["tasks", str(toy), str(noisy), "--tasks", ",".join(TASKS), "--limit", "3", "--results", str(tmp_path),
                 "--threads", "1", "--display", "none"]  # fmt: skip
    done = runner.invoke(cli, arguments, standalone_mode=False)
    assert done.exception is None
    lines = done.stdout.strip().splitlines()
    assert re.match(r"VERDICT: (INCONCLUSIVE|NOT_TESTABLE) exit=3 report=", lines[-1])
    assert lines[-2].startswith("harm of copy: ")
    assert "all tasks" in done.stdout
    assert done.return_value == 3
    listed = runner.invoke(cli, ["tasks", "--list"])
    assert "fidelity_choices" in listed.stdout


@pytest.mark.slow
def test_a_coarsely_rounded_model_gives_worse_answers(smollm, tmp_path):
    """3 bits on the real model: right answers are lost and found out; the honest control changes few."""
    card, _, _ = run(smollm, f"rtn:3:{smollm}", cache=Places.default().cache, results=tmp_path, limit=24,
                     tasks=("fidelity_reading", "fidelity_arithmetic_easy"))  # fmt: skip
    facts = card.candidates[0].facts
    assert (card.outcome, card.exit_code) == ("BEYOND", 1)
    assert facts.pooled.reference > 0.4
    assert facts.pooled.churned_control < facts.pooled.churned / 3
    assert {"TASK601", "TASK602"} <= {finding.code for finding in card.candidates[0].findings}
