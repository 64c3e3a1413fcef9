"""Baselines: saved from a stored run, one file per candidate."""

from __future__ import annotations

from pathlib import Path

from harness import __version__
from harness.comparisons.baselines import (
    BASELINE_VERSION,
    Baseline,
    document_entries,
    summary_of,
    write_baseline,
)
from harness.comparisons.distributions.documents import DocumentSums
from harness.comparisons.distributions.metrics import headline
from harness.config import writable
from harness.errors import StoredRunError, UnknownName
from harness.observations.journal import Journal, write_atomically
from harness.observations.plan import Claimed
from harness.reports.stored import conditions, document_digests, identity_of, table_of


def make_baseline(journal: Journal, candidate: str = "") -> Baseline:
    """What one candidate of a complete run measured; ``candidate`` may be left out where the run has one."""
    manifest, plan = journal.manifest, journal.plan
    if manifest.status != "complete":
        raise StoredRunError(f"this run is {manifest.status}; a baseline needs all of it", where=str(journal.folder),
                             fix=f"finish it first: {manifest.command}")  # fmt: skip
    claimed = _chosen(journal, candidate)
    planned = plan.target(claimed.candidate)
    table = table_of(journal, plan, planned)
    if table is None:
        raise StoredRunError(f"{planned.label} was not scored: its vocabulary is another", where=str(journal.folder))
    if table.non_finite or table.violations:
        raise StoredRunError(f"{planned.label} has logits that are not finite, or rules ids out; it is no baseline",
                             where=str(journal.folder))  # fmt: skip
    metrics, documents = document_entries(DocumentSums.of(table), document_digests(plan))
    return Baseline(
        baseline_version=BASELINE_VERSION,
        fidelity_version=__version__,
        label=planned.label,
        claim=claimed.precision,
        candidate_digest=identity_of(journal, planned.key).digest,
        run=manifest.run,
        created=manifest.created,
        conditions=conditions(plan, identity_of(journal, "reference")),
        software=plan.software,
        summary=summary_of(headline(table)),
        metrics=metrics,
        documents=documents,
    )


def save_baseline(baseline: Baseline, path: Path) -> None:
    """Write a baseline file atomically."""
    writable(path.parent, "baseline")
    write_atomically(path, write_baseline(baseline).encode())


def _chosen(journal: Journal, candidate: str) -> Claimed:
    plan = journal.plan
    labels = {claimed.candidate: plan.target(claimed.candidate).label for claimed in plan.claims}
    if not candidate:
        if len(labels) > 1:
            raise UnknownName(
                f"this run has {len(labels)} candidates", fix=f"--candidate with one of: {', '.join(labels.values())}"
            )
        return plan.claims[0]
    found = [claimed for claimed in plan.claims if candidate in {claimed.candidate, labels[claimed.candidate]}]
    if not found:
        raise UnknownName(f"this run has no candidate {candidate!r}", fix=f"it has: {', '.join(labels.values())}")
    if len({claimed.candidate for claimed in found}) > 1:
        keys = ", ".join(claimed.candidate for claimed in found)
        raise UnknownName(f"several candidates are called {candidate!r}", fix=f"name one by its key: {keys}")
    return found[0]
