"""The prompts of a comparison's candidates, read as ``fidelity template`` reads them and kept beside the run."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from harness.config import Places
from harness.errors import FidelityError
from harness.observations.events import Event, Noticed, StageStarted
from harness.observations.journal import Journal
from harness.observations.plan import Plan
from harness.prompting.files import read_tokens_in
from harness.targets.checkpoint.target import CheckpointTarget, Workers
from harness.targets.prompt_source import PromptSource, open_prompt_source


def note_tokens_in(
    journal: Journal,
    plan: Plan,
    reference: CheckpointTarget,
    candidates: Sequence[CheckpointTarget],
    workers: Workers,
    places: Places,
) -> Generator[Event, None, None]:
    """Store the tokens-in evidence of every candidate whose template, tokenizer or stops are not the reference's files.

    A side that cannot be read this way is told and left to the suite's items: it is encoded by the library all the same.
    """
    ours: PromptSource | None = None
    for planned in plan.role("candidate"):
        target = next(t for t in candidates if t.spec == planned.spec)
        if target.spec.base == reference.spec.base or journal.noted("tokens_in", planned.key) is not None:
            continue
        try:
            ours = ours or open_prompt_source(reference.spec.base, places.cache, workers)
            theirs = open_prompt_source(target.spec.base, places.cache, workers)
            if _same(ours, theirs):
                continue
            yield StageStarted("prompts", f"the template suite's conversations by the reference and by {planned.label}")
            evidence, _ = read_tokens_in(ours, theirs, places.cache, workers)
        except FidelityError as error:
            yield Noticed(f"prompts of {planned.label} are compared on the suite's items alone: {error.problem}")
            continue
        journal.note("tokens_in", planned.key, evidence.model_dump(mode="json"))


def _same(ours: PromptSource, theirs: PromptSource) -> bool:
    """Whether two sources hold the same in everything that makes a prompt or ends a reply."""
    return all(
        getattr(ours, name) == getattr(theirs, name)
        for name in (
            "kind",
            "template",
            "tool_template",
            "variables",
            "stop_ids",
            "adds_bos",
            "files",
            "tokenizer_digest",
        )
    )
