"""From a stored run to a scorecard: load rows and facts, judge every claim. Needs no model and no network."""

from __future__ import annotations

from typing import Any

from harness import __version__
from harness.comparisons.baselines import Baseline, check_comparable
from harness.comparisons.bits_per_byte import bits_per_byte
from harness.comparisons.pairs import Ranking, rank
from harness.comparisons.table import TokenTable
from harness.errors import StoredRunError
from harness.observations.journal import Journal
from harness.observations.plan import Claimed, Plan
from harness.reports.scorecard import SCORECARD_VERSION, CandidateCard, Scorecard, overall
from harness.reports.stored import (
    conditions,
    document_digests,
    identity_of,
    isolation_of,
    prompts_of,
    stored_baseline,
    suite_facts,
    table_of,
    tokens_in_of,
)
from harness.targets.alternatives import declared_claim
from harness.targets.weight_evidence import WeightEvidence
from harness.verdicts.assemble import Measured, Yardsticks, assemble
from harness.verdicts.decide import decide, partial_verdict
from harness.verdicts.gates.policy import Policy


def build_scorecard(
    journal: Journal,
    policy: Policy | None = None,
    baseline: Baseline | None = None,
    source: str = "",
    *,
    frozen: bool = False,
) -> Scorecard:
    """Judge a stored run, by its own policy or by another that is given; ``frozen``: that one stood before the run, too.

    An unfinished run is judged by what is there, and says so: nothing of it can be WITHIN. Raises StoredRunError where
    nothing was scored, BaselineMismatch for a baseline of another suite, reference or tokenizer.
    """
    manifest, plan = journal.manifest, journal.plan
    if manifest.status != "complete" and not any(journal.finished(planned.key) for planned in plan.role("candidate")):
        raise StoredRunError(
            f"this run is {manifest.status}, and no candidate was scored yet: there is nothing to judge",
            where=str(journal.folder),
            fix=f"go on with it: {manifest.command}",
        )
    frozen = frozen or policy is None
    if policy is None and plan.policy is not None:
        policy, baseline = Policy.model_validate(plan.policy), stored_baseline(journal)
    if baseline is not None:
        here = conditions(plan, identity_of(journal, "reference"))
        check_comparable(baseline, here, document_digests(plan), source or str(journal.folder))
    sticks = _yardsticks(journal, plan, policy, baseline, frozen=frozen)
    tables: dict[str, TokenTable] = {}
    cards = [_card(journal, plan, claimed, sticks, tables) for claimed in plan.claims]
    outcome, code = overall(cards)
    return Scorecard(
        scorecard_version=SCORECARD_VERSION,
        fidelity_version=__version__,
        run=manifest.run,
        created=manifest.created,
        command=manifest.command,
        plan=plan.digest,
        partial=_progress(journal, plan) if manifest.status != "complete" else "",
        software=plan.software,
        isolation=isolation_of(journal),
        estimator=plan.estimator,
        suite=suite_facts(journal, plan),
        reference=sticks.reference,
        candidates=tuple(cards),
        ranking=_ranking(plan, tables),
        outcome=outcome,
        exit_code=code,
        pieces=_pieces(journal, cards),
        left_out=tuple(
            f"{plan.target(key).label}: {problem}" for key, problem in sorted(journal.notes("left_out").items())
        ),
    )


def _yardsticks(
    journal: Journal,
    plan: Plan,
    policy: Policy | None,
    baseline: Baseline | None,
    *,
    frozen: bool,
) -> Yardsticks:
    unfinished = journal.manifest.status != "complete"

    def of(key: str) -> TokenTable | None:
        planned = plan.target(key)
        left_out = journal.noted("left_out", key) is not None
        table = None if left_out else table_of(journal, plan, planned, partial=unfinished)
        if table is None and not unfinished and not left_out:
            raise StoredRunError(f"no rows of {planned.label} are stored", where=str(journal.folder))
        return table

    honest = {name: table for name, key in plan.honest.items() if (table := of(key))}
    rungs = {float(bits): table for bits, key in plan.rungs.items() if (table := of(key))}
    return Yardsticks(
        reference=identity_of(journal, "reference"),
        honest=honest,
        rungs=rungs,
        policy=policy,
        frozen=frozen,
        baseline=baseline,
    )


def _card(
    journal: Journal, plan: Plan, claimed: Claimed, sticks: Yardsticks, tables: dict[str, TokenTable]
) -> CandidateCard:
    unfinished = journal.manifest.status != "complete"
    planned = plan.target(claimed.candidate)
    identity = identity_of(journal, planned.key)
    table = tables.get(planned.key)  # several claims may be made for one candidate
    table = table_of(journal, plan, planned, partial=unfinished) if table is None else table
    problem = claimed.problem
    left_out = journal.noted("left_out", claimed.rebuild) if claimed.rebuild else None
    if left_out is not None:
        problem = f"The claim {claimed.precision} could not be rebuilt from the reference: {left_out}."
    rebuilt = None
    if claimed.rebuild and not problem:
        rebuilt = table_of(journal, plan, plan.target(claimed.rebuild), partial=unfinished)
    weights = journal.noted("weights", planned.key)
    losses: Any = journal.noted("losses", planned.key)
    nothing = WeightEvidence(tensors=(), unmatched=(), problem="the candidate was not loaded")
    if table is not None:
        tables[planned.key] = table
    unscored = "Its tokenizer has another vocabulary than the reference's."
    if unfinished and losses is None:
        unscored = "The run ended before this candidate was scored."
    measured = Measured(
        label=planned.label,
        spec=planned.spec.shown,
        claim=claimed.precision,
        claim_source=claimed.source,
        claim_problem=problem,
        identity=identity,
        table=table,
        rebuilt=rebuilt,
        prompts=prompts_of(journal, plan, planned),
        tokens_in=tokens_in_of(journal, planned),
        weights=WeightEvidence.model_validate(weights) if weights is not None else nothing,
        unscored="" if table is not None else unscored,
        bits_per_byte=bits_per_byte(losses),
        declared=declared_claim(planned.spec, identity)[0],
        rebuilt_key=plan.target(claimed.rebuild).spec.text if claimed.rebuild else "",
        longest=max((len(sequence.ids) for sequence in plan.items()), default=0),
        in_memory=planned.spec.kind in {"bnb", "rtn", "fp8", "mx", "ggufq"},
        unused=_unused(journal, planned.key),
    )
    evidence = assemble(measured, sticks)
    verdict, findings = decide(evidence)
    if unfinished:
        verdict = partial_verdict(verdict, _progress(journal, plan))
    return CandidateCard(identity=identity, evidence=evidence, verdict=verdict, findings=tuple(findings))


def _unused(journal: Journal, key: str) -> tuple[str, ...]:
    """What of the files the loaded candidate did not use; runs that were stored before this was asked say nothing."""
    noted: Any = journal.noted("capabilities", key)
    return tuple(noted.get("unused", ())) if noted else ()


def _ranking(plan: Plan, tables: dict[str, TokenTable]) -> Ranking | None:
    """Of candidates that were scored on the same items; one that is judged under two claims counts once."""
    sound = {key: table for key, table in tables.items() if not table.non_finite and not table.violations}
    labels = {key: plan.target(key).label for key in sound}
    named = {label if list(labels.values()).count(label) == 1 else key: sound[key] for key, label in labels.items()}
    return rank(named)


def _progress(journal: Journal, plan: Plan) -> str:
    """How far an unfinished run came, in words."""
    done = sum(len(journal.finished(planned.key)) for planned in plan.targets)
    planned = sum(len(plan.of(target)) for target in plan.targets)
    return f"{journal.manifest.status} after {done:,} of {planned:,} items of all targets"


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
