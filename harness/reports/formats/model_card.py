"""The lines of a model card by which the Hugging Face Hub links a copy to its reference.

``base_model_relation: quantized`` is written for what is a quantization by its files or its claim, and only where nothing
says that it is a copy of another model; the numbers stand in a comment, because the Hub has no place for divergences.
"""

from __future__ import annotations

import yaml

from harness.errors import UsageError
from harness.numbers import interval, valued
from harness.redact import safe_line
from harness.reports.scorecard import CandidateCard, Scorecard
from harness.verdicts.model import Cause, Outcome

_TOLD = ("kl_ref_cand", "ear", "top1_agreement")
_STRANGERS = {Cause.OTHER_MODEL, Cause.MIXTURE, Cause.TOKENIZER}


def render_model_card(scorecard: Scorecard) -> bytes:
    """Front matter for the README of the candidate's repository. Raises UsageError for several candidates, or another model."""
    if len(scorecard.candidates) != 1:
        labels = ", ".join(safe_line(card.evidence.label, 40) for card in scorecard.candidates)
        raise UsageError(
            f"a model card is about one model, and this run has {len(scorecard.candidates)} candidates: {labels}",
            fix="compare one candidate at a time",
        )
    (card,) = scorecard.candidates
    if any(axis.outcome is Outcome.BEYOND and axis.cause in _STRANGERS for axis in card.verdict.axes):
        raise UsageError(
            f"this run says that the candidate is no copy of {safe_line(scorecard.reference.folder, 60)}: {card.verdict.cause}",
            fix="a card that calls it one would be wrong",
        )
    fields: dict[str, object] = {"base_model": safe_line(scorecard.reference.folder, 200)}
    if _quantized(card):
        fields["base_model_relation"] = "quantized"
    fields["tags"] = ["fidelity-harness"]
    front = yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)
    suite = scorecard.suite
    told = [
        f"{check.title}: {valued(check.value, check.unit)} ({interval(check.low, check.high, check.unit)})"
        for key in _TOLD
        if (check := card.evidence.check(key))
    ]
    lines = [
        f"fidelity-harness {scorecard.fidelity_version}, run {scorecard.run}, suite {suite.name} v{suite.version}",
        f"verdict: {card.verdict.outcome}" + (f", cause {card.verdict.cause}" if card.verdict.cause else ""),
        *told,
        "base_model is the reference's folder as it was compared: put its id on the Hub here",
    ]
    return ("---\n" + front + "".join(f"# {safe_line(line)}\n" for line in lines) + "---\n").encode()


def _quantized(card: CandidateCard) -> bool:
    claimed = card.evidence.claim.lower() not in {"", "bf16", "fp16", "fp32", "float32", "bfloat16", "float16"}
    return bool(card.identity.quantization) or claimed
