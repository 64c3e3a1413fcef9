"""Task scores for the Hub: its own types read them back, and nothing is written that no data set stands behind."""

from __future__ import annotations

import pytest
import yaml
from huggingface_hub import parse_eval_result_entries

from harness.errors import UsageError
from harness.reports.formats.eval_results import render_eval_results


def from_the_hub(card, **changes):
    """The same card as if the first task's data came from the Hub."""
    first, *rest = card.tasks
    head = first.model_copy(update={"dataset": "someone/choices"})
    return card.model_copy(update={"tasks": (head, *rest), **changes})


def test_the_hub_reads_the_candidates_score_and_what_it_is_held_against(toy_tasks):
    """Data set, task, score and date; the reference's score and the loss with its interval stand in the notes."""
    (entry,) = parse_eval_result_entries(yaml.safe_load(render_eval_results(from_the_hub(toy_tasks))))
    result = toy_tasks.candidates[0].facts.tasks[0]
    assert (entry.dataset_id, entry.task_id, entry.value) == ("someone/choices", result.task, result.candidate)
    assert entry.date.startswith(f"{toy_tasks.run[:4]}-")
    assert f"{result.items} items" in entry.notes
    assert f"has {result.reference:.4g} on the same items: loss" in entry.notes


def test_what_has_no_place_on_the_hub_is_refused(toy_tasks):
    """No data set, several candidates, or a run that was broken off: an error that says what to do."""
    with pytest.raises(UsageError, match="none of these tasks"):
        render_eval_results(toy_tasks)
    with pytest.raises(UsageError, match="2 candidates"):
        render_eval_results(from_the_hub(toy_tasks, candidates=toy_tasks.candidates * 2))
    with pytest.raises(UsageError, match="broken off"):
        render_eval_results(from_the_hub(toy_tasks, partial=True))


def test_a_hostile_name_stays_one_line_of_text(toy_tasks):
    """No key of the file can be made up by a reference's name."""
    evil = "x\nverifyToken: made-up\u202e\x1b[31m"
    (entry,) = parse_eval_result_entries(yaml.safe_load(render_eval_results(from_the_hub(toy_tasks, reference=evil))))
    assert entry.verify_token is None
    assert "\n" not in entry.notes
    assert "\u202e" not in entry.notes
