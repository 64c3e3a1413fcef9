"""An export that Every Eval Ever (schema 0.3.0) takes: every check as a result with its interval over documents.

The schema has no word for a quantization or a reference; both stand in ``additional_details``, whose values are strings.
Infinite and missing numbers have no place in it, nor have numbers that are best at zero from both sides: such checks are left
out and named. A file holds one record, so several candidates make several files.
"""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime
from typing import Any

from harness.comparisons.model import CheckResult
from harness.errors import UsageError
from harness.redact import safe_line
from harness.reports.scorecard import CandidateCard, Scorecard

SCHEMA_VERSION = "0.3.0"


#: What a reader is told where nobody said whose model it is.
NO_DEVELOPER = (
    "model_info.developer is missing, by which Every Eval Ever files a record: give --developer NAME, the organization that "
    "provides the model"
)


def render_every_eval_ever(scorecard: Scorecard) -> bytes:
    """The record of a single candidate; raises UsageError for several, because a file holds one record."""
    files = every_eval_ever_files(scorecard)
    if len(files) != 1:
        raise UsageError(
            f"a file of Every Eval Ever holds one record, and this run has {len(files)} candidates",
            where=scorecard.run,
            fix="fidelity report RUN --format every-eval-ever -o FOLDER writes a file for each candidate",
        )
    return next(iter(files.values()))


def every_eval_ever_files(scorecard: Scorecard, developer: str = "") -> dict[str, bytes]:
    """One record per candidate, by a name for its file; ``developer`` is the organization that provides the models."""
    found: dict[str, bytes] = {}
    for number, card in enumerate(scorecard.candidates, 1):
        name = re.sub(r"[^A-Za-z0-9_.-]+", "-", card.evidence.label).strip(".-") or f"candidate-{number}"
        name = f"{name}-{number}" if name in found else name
        record = _record(scorecard, card, safe_line(developer))
        found[name] = json.dumps(record, ensure_ascii=False, indent=1).encode()
    return found


def _record(scorecard: Scorecard, card: CandidateCard, developer: str) -> dict[str, Any]:
    evidence, verdict = card.evidence, card.verdict
    when = str(int(datetime.strptime(scorecard.created, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()))
    model = safe_line(evidence.label)
    own = card.identity.digest
    details = {
        "deployment_type": "self_deployed",
        "model_availability": "open_weights",
        "reference": safe_line(scorecard.reference.folder),
        "reference_digest": scorecard.reference.digest,
        "model_digest": own,
        "claim": safe_line(evidence.claim),
        "verdict": str(verdict.outcome),
        "cause": str(verdict.cause or ""),
        "findings": " ".join(finding.code for finding in card.findings),
        "left_out": " ".join(check.key for check in evidence.checks if not _kept(check)),
        "tokens": str(evidence.tokens),
        "tokens_without_a_finite_divergence": str(evidence.violations + evidence.non_finite),
    }
    return {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": "/".join(
            (
                "fidelity",
                safe_line(scorecard.suite.name),
                model,
                details["claim"],
                card.identity.digest[:12],
                scorecard.run,
            )
        ),
        "evaluation_timestamp": when,
        "retrieved_timestamp": when,
        "source_metadata": {
            "source_name": "fidelity-harness",
            "source_type": "evaluation_run",
            "source_organization_name": "unknown",
            "evaluator_relationship": "other",
            "additional_details": {
                "plan": scorecard.plan,
                "run": scorecard.run,
                "partial": safe_line(scorecard.partial),
            },
        },
        "eval_library": {"name": "fidelity-harness", "version": scorecard.fidelity_version},
        "model_info": {
            "name": model,
            "id": f"{developer}/{model}" if developer else model,
            "additional_details": details,
        }
        | ({"developer": developer} if developer else {}),
        "evaluation_results": [_result(scorecard, c) for c in evidence.checks if _kept(c)],
    }


def _kept(check: CheckResult) -> bool:
    return math.isfinite(check.value) and check.better != "zero"


def _result(scorecard: Scorecard, check: CheckResult) -> dict[str, Any]:
    suite = scorecard.suite
    uncertainty: dict[str, Any] = {"num_samples": check.clusters}
    if math.isfinite(check.low) and math.isfinite(check.high):
        method = "over documents, which are independent; tokens are not"
        uncertainty["confidence_interval"] = {
            "lower": check.low, "upper": check.high, "confidence_level": 0.95, "method": method,
        }  # fmt: skip
    details = {"unit": check.unit, "better": check.better, "note": check.note, "tokens": str(check.tokens)}
    return {
        "evaluation_name": check.key,
        "source_data": {
            "dataset_name": f"{safe_line(suite.name)} v{suite.version} ({suite.profile})",
            "source_type": "other",
            "additional_details": {
                "digest": suite.digest,
                "documents": str(suite.documents),
                "licence": safe_line(suite.licence),
            },
        },
        "metric_config": {
            "evaluation_description": check.title,
            "lower_is_better": check.better != "higher",
            "additional_details": details,
        },
        "score_details": {"score": check.value, "uncertainty": uncertainty},
    }
