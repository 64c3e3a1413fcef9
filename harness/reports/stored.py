"""What a stored run holds, read as the values that comparisons take. Needs no model and no network."""

from __future__ import annotations

from typing import Any

from pydantic import JsonValue

from harness.comparisons.baselines import Baseline, Conditions, digests_of
from harness.comparisons.prompts import PromptReading, compare_prompts
from harness.comparisons.table import TokenTable
from harness.errors import StoredRunError
from harness.observations.journal import Journal
from harness.observations.plan import Plan, PlannedTarget
from harness.reports.scorecard import SuiteFacts
from harness.suites.model import SuiteHead
from harness.targets.base import Encoded, ModelIdentity
from harness.verdicts.tokens_in import JudgedPrompts, TokensIn, judged_prompts


def identity_of(journal: Journal, key: str) -> ModelIdentity:
    """Who a target is, by its files."""
    return ModelIdentity.model_validate(journal.noted("identity", key))


def table_of(journal: Journal, plan: Plan, planned: PlannedTarget, *, partial: bool = False) -> TokenTable | None:
    """The rows of a target; None if it was not scored at all. Raises StoredRunError for a part, unless that is wanted."""
    parts = [(sequence, journal.rows(planned.key, sequence.key)) for sequence in plan.of(planned)]
    if all(rows is None for _, rows in parts):
        return None
    if not partial and any(rows is None for _, rows in parts):
        raise StoredRunError(f"{planned.label} was scored only in part", where=str(journal.folder))
    return TokenTable.build((sequence, rows) for sequence, rows in parts if rows is not None)


def prompts_of(journal: Journal, plan: Plan, planned: PlannedTarget) -> PromptReading:
    """How the suite's items became ids on both sides."""
    sequences = plan.items()
    raw: Any = journal.noted("prompts", planned.key)
    if raw is None:  # same folder as the reference: one tokenizer, one template
        count = sum(1 for s in sequences if any(s.segments))
        return PromptReading(texts=len(sequences) - count, chats=count, differing=())
    ours = {key: Encoded.model_validate(value) for key, value in raw["reference"].items()}
    theirs = {key: Encoded.model_validate(value) for key, value in raw["candidate"].items()}
    chats = frozenset(key for key, value in ours.items() if value.segments)
    shared = {key: value for key, value in ours.items() if key in theirs}
    reading = compare_prompts(shared, theirs, chats & set(shared))
    return reading.model_copy(update={"problem": raw["problem"]})


def tokens_in_of(journal: Journal, planned: PlannedTarget) -> JudgedPrompts | None:
    """The tokens-in check of a candidate; None where its files are the reference's, or where it was not made."""
    raw: Any = journal.noted("tokens_in", planned.key)
    return None if raw is None else judged_prompts(TokensIn.model_validate(raw))


def suite_facts(journal: Journal, plan: Plan) -> SuiteFacts:
    """What was asked."""
    head = SuiteHead.model_validate(journal.noted("suite", "head"))
    sequences = plan.items()
    return SuiteFacts(
        name=head.name,
        version=head.version,
        digest=str(plan.suite["digest"]),
        profile=str(plan.suite["profile"]),
        title=head.title,
        licence=head.licence,
        shows=head.shows,
        cannot_show=(*head.cannot_show, *([str(plan.suite["left_out"])] if "left_out" in plan.suite else [])),
        tokens=sum(s.scored for s in sequences),
        documents=len({s.cluster for s in sequences}),
    )


def isolation_of(journal: Journal) -> dict[str, JsonValue]:
    """How the process that held the checkpoints was kept apart."""
    notes: dict[str, Any] = journal.notes("capabilities")
    first: dict[str, Any] = next(iter(notes.values()), {})
    return dict(first.get("isolation", {}))


def conditions(plan: Plan, reference: ModelIdentity) -> Conditions:
    """What must be the same for a baseline to be compared with a run of this plan."""
    runtime = plan.reference.runtime
    return Conditions(
        suite=str(plan.suite["name"]),
        suite_version=int(str(plan.suite["version"])),
        suite_digest=str(plan.suite["digest"]),
        profile=str(plan.suite["profile"]),
        reference=reference.folder,
        reference_digest=reference.digest,
        vocabulary=reference.vocabulary_sha256,
        estimator=plan.estimator,
        arithmetic=f"{runtime['dtype']} on {str(runtime['device']).partition(':')[0]}",
    )


def document_digests(plan: Plan) -> dict[str, str]:
    """A digest of the ids of every document of a plan."""
    return digests_of(plan.items())


def stored_baseline(journal: Journal) -> Baseline | None:
    """The baseline that a run was started with."""
    raw = journal.noted("baseline", "all")
    return Baseline.model_validate(raw) if raw is not None else None
