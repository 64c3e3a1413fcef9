"""From a stored run to a scorecard: load rows and facts, judge every claim. Needs no model and no network."""

from __future__ import annotations

from typing import Any

from harness import __version__
from harness.comparisons.bits_per_byte import bits_per_byte
from harness.comparisons.prompts import PromptReading, compare_prompts
from harness.comparisons.table import TokenTable
from harness.errors import StoredRunError
from harness.observations.journal import Journal
from harness.observations.plan import Claimed, Plan, PlannedTarget
from harness.reports.scorecard import SCORECARD_VERSION, CandidateCard, Scorecard, SuiteFacts, overall
from harness.suites.model import SuiteHead
from harness.targets.base import Encoded, ModelIdentity
from harness.targets.weight_evidence import WeightEvidence
from harness.verdicts.assemble import Measured, Yardsticks, assemble
from harness.verdicts.decide import decide
from harness.verdicts.gates import parse_gate

METRICS = [
    "kl_ref_cand", "ear", "top1_agreement", "confident_flips", "ppl_ratio", "dp_rms", "kl_cand_ref", "js", "tv",
    "top5_recall", "top10_recall", "top5_overlap", "top10_overlap", "delta_nll", "dp_mean", "delta_entropy", "kl_p50",
    "kl_p90", "kl_p99", "kl_p999",
]  # fmt: skip


def build_scorecard(journal: Journal) -> Scorecard:
    """Judge a complete run; raises StoredRunError for one that is not."""
    manifest, plan = journal.manifest, journal.plan
    if manifest.status != "complete":
        raise StoredRunError(
            f"this run is {manifest.status}: there is nothing to judge yet",
            where=str(journal.folder),
            fix=f"finish it first: {manifest.command}",
        )
    reference = ModelIdentity.model_validate(journal.noted("identity", "reference"))
    sticks = Yardsticks(
        reference=reference,
        honest={name: _need(journal, plan, plan.target(key)) for name, key in plan.honest.items()},
        rungs={float(bits): _need(journal, plan, plan.target(key)) for bits, key in plan.rungs.items()},
        gate=parse_gate(plan.gate, METRICS) if plan.gate else None,
    )
    cards = [_card(journal, plan, claimed, sticks) for claimed in plan.claims]
    outcome, code = overall(cards)
    return Scorecard(
        scorecard_version=SCORECARD_VERSION,
        fidelity_version=__version__,
        run=manifest.run,
        created=manifest.created,
        command=manifest.command,
        plan=plan.digest,
        software=plan.software,
        isolation=_isolation(journal),
        estimator=plan.estimator,
        suite=_suite(journal, plan),
        reference=reference,
        candidates=tuple(cards),
        outcome=outcome,
        exit_code=code,
        pieces=_pieces(journal, cards),
    )


def _card(journal: Journal, plan: Plan, claimed: Claimed, sticks: Yardsticks) -> CandidateCard:
    planned = plan.target(claimed.candidate)
    identity = ModelIdentity.model_validate(journal.noted("identity", planned.key))
    table = _table(journal, plan, planned)
    rebuilt = _table(journal, plan, plan.target(claimed.rebuild)) if claimed.rebuild else None
    weights = journal.noted("weights", planned.key)
    losses: Any = journal.noted("losses", planned.key)
    nothing = WeightEvidence(tensors=(), unmatched=(), problem="the candidate was not loaded")
    measured = Measured(
        label=planned.label,
        spec=planned.spec.shown,
        claim=claimed.precision,
        claim_source=claimed.source,
        claim_problem=claimed.problem,
        identity=identity,
        table=table,
        rebuilt=rebuilt,
        prompts=_prompts(journal, plan, planned),
        weights=WeightEvidence.model_validate(weights) if weights is not None else nothing,
        unscored="" if table is not None else "Its tokenizer has another vocabulary than the reference's.",
        bits_per_byte=bits_per_byte(losses),
        in_memory=planned.spec.kind in {"bnb", "rtn", "fp8", "ggufq"},
    )
    evidence = assemble(measured, sticks)
    verdict, findings = decide(evidence)
    return CandidateCard(identity=identity, evidence=evidence, verdict=verdict, findings=tuple(findings))


def _table(journal: Journal, plan: Plan, planned: PlannedTarget) -> TokenTable | None:
    """The rows of a target; None if it was not scored at all, an error if only in part."""
    sequences = plan.of(planned)
    parts = [(sequence, journal.rows(planned.key, sequence.key)) for sequence in sequences]
    if all(rows is None for _, rows in parts):
        return None
    if any(rows is None for _, rows in parts):
        raise StoredRunError(f"{planned.label} was scored only in part", where=str(journal.folder))
    return TokenTable.build((sequence, rows) for sequence, rows in parts if rows is not None)


def _need(journal: Journal, plan: Plan, planned: PlannedTarget) -> TokenTable:
    table = _table(journal, plan, planned)
    if table is None:
        raise StoredRunError(f"no rows of {planned.label} are stored", where=str(journal.folder))
    return table


def _prompts(journal: Journal, plan: Plan, planned: PlannedTarget) -> PromptReading:
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


def _suite(journal: Journal, plan: Plan) -> SuiteFacts:
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
        cannot_show=head.cannot_show,
        tokens=sum(s.scored for s in sequences),
        documents=len({s.cluster for s in sequences}),
    )


def _isolation(journal: Journal) -> dict[str, Any]:
    notes: dict[str, Any] = journal.notes("capabilities")
    first: dict[str, Any] = next(iter(notes.values()), {})
    return dict(first.get("isolation", {}))


def _pieces(journal: Journal, cards: list[CandidateCard]) -> dict[str, str]:
    known: Any = journal.noted("pieces", "all") or {}
    ids = {
        str(value)
        for card in cards
        for item in card.evidence.worst
        for token in item.excerpt
        for value in (token.label, token.top1_ref, token.top1_cand)
    }
    return {key: known[key] for key in sorted(ids) if key in known}
