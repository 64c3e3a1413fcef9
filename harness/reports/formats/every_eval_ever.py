"""An export that Every Eval Ever (schema 0.3.0) takes: every check as a result with its interval over documents.

The schema has no word for a quantization or a reference; both stand in ``additional_details``, whose values are strings.
Infinite and missing numbers have no place in it, nor have numbers that are best at zero from both sides: such checks are left
out and named.
"""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

from harness.comparisons.model import CheckResult
from harness.redact import safe_line
from harness.reports.scorecard import CandidateCard, Scorecard

SCHEMA_VERSION = "0.3.0"


def render_every_eval_ever(scorecard: Scorecard) -> bytes:
    """One record for one candidate, a list of records for several."""
    records = [_record(scorecard, card) for card in scorecard.candidates]
    return json.dumps(records[0] if len(records) == 1 else records, ensure_ascii=False, indent=1).encode()


def _record(scorecard: Scorecard, card: CandidateCard) -> dict[str, Any]:
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
        "model_info": {"name": model, "id": model, "additional_details": details},
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
