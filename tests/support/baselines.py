"""A baseline of a table, without a run."""

from __future__ import annotations

from harness.comparisons.baselines import Baseline, Conditions, digests_of, document_entries, summary_of
from harness.comparisons.distributions.documents import DocumentSums
from harness.comparisons.distributions.metrics import headline
from harness.comparisons.table import TokenTable

CONDITIONS = Conditions(
    suite="core", suite_version=1, suite_digest="s" * 64, profile="quick", reference="ref", reference_digest="r" * 64,
    vocabulary="v" * 64, estimator="exact", arithmetic="auto on cpu",
)  # fmt: skip


def baseline_of(table: TokenTable) -> Baseline:
    """What ``fidelity baseline save`` would keep of it."""
    metrics, documents = document_entries(DocumentSums.of(table), digests_of(list(table.sequences)))
    return Baseline(
        baseline_version=1,
        fidelity_version="0", label="last week", claim="nf4", candidate_digest="c" * 64, run="run", created="now",
        conditions=CONDITIONS, software={}, summary=summary_of(headline(table)), metrics=metrics, documents=documents,
    )  # fmt: skip
