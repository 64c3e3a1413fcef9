"""A candidate's task scores as the Hub keeps them: the list for a file in ``.eval_results/`` of its repository.

Only tasks whose data come from the Hub have a place there. Divergences have none (see ``every_eval_ever``); how far a score
lies from the reference's stands in the notes.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import yaml

from harness.comparisons.tasks import TaskResult
from harness.errors import MissingExtra, UsageError
from harness.numbers import interval
from harness.redact import safe_line
from harness.reports.task_card import TaskCard
from harness.suites.scores import TaskHead


def render_eval_results(card: TaskCard) -> bytes:
    """YAML by ``huggingface_hub``'s own types. Raises UsageError for several candidates, a broken-off run, or no such task."""
    try:
        from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml  # noqa: PLC0415 - slow to import
    except ImportError as error:
        raise MissingExtra(
            "this huggingface_hub is too old for .eval_results", fix="pip install -U huggingface_hub"
        ) from error
    if len(card.candidates) != 1:
        labels = ", ".join(safe_line(one.label, 40) for one in card.candidates)
        raise UsageError(
            f"a file in .eval_results is about one model, and this run has {len(card.candidates)} candidates: {labels}",
            fix="run the tasks with one candidate at a time",
        )
    if card.partial:
        raise UsageError(
            "this run was broken off, and its scores are not the tasks'", fix="give the same command again"
        )
    heads = {head.name: head for head in card.tasks}
    entries = [
        EvalResultEntry(**_fields(card, heads[result.task], result))
        for result in card.candidates[0].facts.tasks
        if result.task in heads and heads[result.task].dataset
    ]
    if not entries:
        raise UsageError(
            "none of these tasks takes its data from the Hugging Face Hub, so that no entry could name its dataset",
            fix="run a task of lm-eval whose dataset_path is the id of a dataset, or use --format json",
        )
    return yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False, allow_unicode=True).encode()


def _fields(card: TaskCard, head: TaskHead, result: TaskResult) -> dict[str, Any]:
    when = datetime.strptime(card.run.split("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    notes = [
        f"lm-eval task {head.name} v{head.version}, {result.metric}" + (f" ({head.filter})" if head.filter else ""),
        f"{result.items} items, asked {'as conversations' if card.chat else 'as plain text'}",
        f"the reference {card.reference} has {result.reference:.4g} on the same items: loss {result.loss:.3g} "
        f"({interval(result.low, result.high, '')})",
        f"fidelity-harness {card.fidelity_version}",
    ]
    return {
        "dataset_id": head.dataset,
        "task_id": head.name,
        "value": result.candidate,
        "date": when.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "notes": safe_line("; ".join(notes), 600),
    }
