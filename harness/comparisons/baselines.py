"""A baseline: what an earlier run of the same suite measured of one candidate, per document, small enough to review."""

from __future__ import annotations

import json
import math

import numpy as np
from pydantic import ValidationError

from harness.comparisons.distributions.documents import SUMMED, DocumentSums
from harness.comparisons.model import CheckResult, Result
from harness.errors import BaselineMismatch
from harness.identity import digest_json
from harness.prompts.sequences import Sequence

BASELINE_VERSION = 1
#: With fewer of its documents in common a baseline is not compared: what is left is another suite. Replies that the reference
#: samples may come out otherwise in other arithmetic; texts never do, and they are half of the core suite.
FEWEST_SHARED = 0.5


class Conditions(Result):
    """What must be the same for two results to be compared, and what people want to know beside it."""

    suite: str
    suite_version: int
    suite_digest: str
    profile: str
    reference: str  # a label; the digest decides
    reference_digest: str
    vocabulary: str
    estimator: str
    arithmetic: str  # number format and device that the run was asked for; "auto" is the checkpoint's own


class BaselineDocument(Result):
    """One document: a digest of its ids, and per metric of ``Baseline.metrics`` the sum over tokens and their number."""

    ids: str
    sums: tuple[float, ...]
    tokens: tuple[int, ...]


class Summary(Result):
    """A number of the baseline, for people; no comparison reads it."""

    value: float
    low: float
    high: float


class Baseline(Result):
    """A stored earlier result; ``documents`` is what a later run is paired with."""

    baseline_version: int
    fidelity_version: str
    label: str
    claim: str
    candidate_digest: str
    run: str
    created: str
    conditions: Conditions
    software: dict[str, str]
    summary: dict[str, Summary]
    metrics: tuple[str, ...]
    documents: dict[str, BaselineDocument]

    def digest_of(self, unit: str) -> str:
        """The digest of a document's ids; a word that no digest equals where the baseline does not hold it."""
        document = self.documents.get(unit)
        return document.ids if document else "not in the baseline"

    def sums(self, units: list[str]) -> DocumentSums:
        """The sums of some of its documents."""
        chosen = [self.documents[unit] for unit in units]
        totals = {key: np.array([d.sums[i] for d in chosen], dtype=np.float64) for i, key in enumerate(self.metrics)}
        counts = {key: np.array([d.tokens[i] for d in chosen], dtype=np.float64) for i, key in enumerate(self.metrics)}
        return DocumentSums(tuple(units), totals, counts)


def document_entries(
    sums: DocumentSums, digests: dict[str, str]
) -> tuple[tuple[str, ...], dict[str, BaselineDocument]]:
    """The metrics and documents of a baseline."""
    keys = SUMMED
    documents = {
        unit: BaselineDocument(
            ids=digests[unit],
            sums=tuple(float(sums.totals[key][g]) for key in keys),
            tokens=tuple(int(sums.counts[key][g]) for key in keys),
        )
        for g, unit in enumerate(sums.units)
    }
    return keys, documents


def summary_of(checks: list[CheckResult]) -> dict[str, Summary]:
    """The numbers that people look at in a review."""
    return {
        check.key: Summary(value=check.value, low=check.low, high=check.high)
        for check in checks
        if all(map(math.isfinite, (check.value, check.low, check.high)))
    }


def write_baseline(baseline: Baseline) -> str:
    """JSON with a line per document, so that version control shows which moved."""
    raw = json.loads(baseline.model_dump_json())
    documents = raw.pop("documents")
    head = json.dumps(raw, indent=1, ensure_ascii=False)[:-2]
    rows = ",\n".join(f"  {json.dumps(unit)}: {json.dumps(row)}" for unit, row in documents.items())
    return f'{head},\n "documents": {{\n{rows}\n }}\n}}\n'


def read_baseline(text: str, where: str) -> Baseline:
    """Read a baseline; raises BaselineMismatch for one of another version or one that is damaged."""
    try:
        raw = json.loads(text)
        version = raw.get("baseline_version") if isinstance(raw, dict) else None
        if isinstance(version, int) and version > BASELINE_VERSION:
            raise BaselineMismatch(f"this baseline is of version {version}; this program reads up to {BASELINE_VERSION}",
                                   where=where, fix="upgrade fidelity-harness")  # fmt: skip
        baseline = Baseline.model_validate(raw)
    except (ValueError, ValidationError, RecursionError) as error:
        raise BaselineMismatch("this is no baseline, or a damaged one", where=where,
                               fix="write it again: fidelity baseline save RUN -o FILE") from error  # fmt: skip
    problem = ""
    if baseline.baseline_version != BASELINE_VERSION or baseline.metrics != SUMMED:
        problem = "it holds other metrics than this version needs"
    for unit, document in baseline.documents.items():
        if not _sound(document, len(SUMMED)):
            problem = problem or f"document {unit!r} has wrong numbers"
    if problem:
        raise BaselineMismatch(f"this baseline cannot be used: {problem}", where=where,
                               fix="write it again: fidelity baseline save RUN -o FILE")  # fmt: skip
    return baseline


def _sound(document: BaselineDocument, width: int) -> bool:
    return (
        len(document.sums) == len(document.tokens) == width
        and all(0 <= n < 1 << 53 for n in document.tokens)
        and all(map(math.isfinite, document.sums))
    )


def check_comparable(baseline: Baseline, here: Conditions, digests: dict[str, str], where: str) -> None:
    """Refuse a baseline that answers another question: other suite, profile, reference or tokenizer, or other ids."""
    then = baseline.conditions
    again = "make a new baseline from a run of this kind: fidelity baseline save RUN -o FILE"
    for what, before, now in (
        ("suite", (then.suite, then.suite_digest), (here.suite, here.suite_digest)),
        ("profile", (then.profile, then.profile), (here.profile, here.profile)),
        ("tokenizer", ("", then.vocabulary), ("", here.vocabulary)),
        ("reference", (then.reference, then.reference_digest), (here.reference, here.reference_digest)),
        ("form of the reference cache", (then.estimator, then.estimator), (here.estimator, here.estimator)),
        ("arithmetic", (then.arithmetic, then.arithmetic), (here.arithmetic, here.arithmetic)),
    ):
        if before[1] != now[1]:
            shown = [" ".join(filter(None, (name, f"({digest[:12]})"))) for name, digest in (before, now)]
            shown = [
                name if name == digest else text for text, (name, digest) in zip(shown, (before, now), strict=True)
            ]
            problem = f"the baseline was made with another {what}: {shown[0]} then, {shown[1]} now"
            raise BaselineMismatch(problem, where=where, fix=again)
    shared = sum(digests.get(unit) == document.ids for unit, document in baseline.documents.items())
    if shared < FEWEST_SHARED * max(len(baseline.documents), len(digests), 1):
        raise BaselineMismatch(
            f"only {shared} of {len(digests)} documents became the same ids as when the baseline was made",
            where=where, fix=f"{again}; sampled replies may differ between machines, texts must not",
        )  # fmt: skip


def digests_of(sequences: list[Sequence]) -> dict[str, str]:
    """For every document a digest of what was scored of it: equal digests mean the very same question."""
    parts: dict[str, list[object]] = {}
    for s in sequences:
        parts.setdefault(s.cluster, []).append([s.key, list(s.ids), s.first, s.end])
    return {unit: digest_json(rows)[:16] for unit, rows in parts.items()}  # type: ignore[arg-type]
