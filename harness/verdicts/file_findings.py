"""Facts of the files that differ, as findings."""

from __future__ import annotations

from harness.comparisons.model import Difference
from harness.targets.base import ModelIdentity
from harness.verdicts.evidence import CandidateEvidence
from harness.verdicts.model import Finding
from harness.verdicts.tokens_in import JudgedPrompts

#: Rules of rotary embeddings that leave short texts alone.
_ONLY_WHEN_LONG = ("dynamic", "longrope")

_STATED = ("contradiction", "importance", "reference")  # one side says so; there is nothing to hold it against


def file_findings(differences: list[Difference]) -> list[Finding]:
    """Turn differing facts of the files into findings, one per fact that has a code."""
    found = []
    for difference in differences:
        code = _code_of(difference.field)
        if code:
            ours, theirs = difference.reference, difference.candidate
            detail = f"{difference.field}: {ours} -> {theirs}"
            if difference.field in _STATED:
                detail = ours if difference.field == "reference" else theirs
            found.append(Finding(code=code, detail=detail[:500]))
    return found


def not_exercised(evidence: CandidateEvidence) -> list[str]:
    """Differing fields that compute something else only on texts longer than any that was scored."""
    found = []
    for one in evidence.differences:
        if one.field == "config.sliding_window":
            windows = [int(side) for side in (one.reference, one.candidate) if side.isdigit()]
            if min(windows, default=0) > evidence.longest:
                found.append(one.field)
        elif one.field == "config.rope_parameters" and any(
            kind in side for side in (one.reference, one.candidate) for kind in _ONLY_WHEN_LONG
        ):
            found.append(one.field)
    return found


def with_prompts(found: list[Finding], prompts: JudgedPrompts | None) -> list[Finding]:
    """Findings of the files with those of the tokens-in check, which says more of tokenizers than that their texts differ."""
    if prompts is None:
        return found
    kept = [f for f in found if not (f.code == "TOKN104" and f.detail.startswith("tokenizer.rules"))]
    known = {finding.code for finding in kept}
    return [*kept, *(finding for finding in prompts.findings if finding.code not in known)]


def stated_findings(identity: ModelIdentity, unused: tuple[str, ...]) -> list[Finding]:
    """What a candidate's files hold or declare that was not used or not applied; ``unused`` is told by the loaded model."""
    outside = identity.declared_in if identity.declared_in not in {"", "config.json"} else ""
    facts = {
        "FILE108": ", ".join(identity.code),
        "FILE109": ", ".join(identity.beside),
        "FILE110": identity.activations,
        "FILE111": identity.cache,
        "FILE112": "; ".join(unused),
        "FILE113": f"{outside}: {identity.weight_format}" if outside else "",
    }
    return [Finding(code=code, detail=detail[:500]) for code, detail in facts.items() if detail]


def not_applied(findings: list[Finding]) -> str:
    """The clause of the verdict that says which declared rounding was not applied; empty where there is none."""
    names = {"FILE110": "activations", "FILE111": "keys and values"}
    told = [f"{names[one.code]} ({one.detail})" for one in findings if one.code in names]
    if not told:
        return ""
    return f" Judged by its weights alone: its declared rounding of {' and of '.join(told)} was not applied."


def _code_of(field: str) -> str:
    if field in {"config.vocab_size", "config.tie_word_embeddings", "weights.parameters"}:
        return ""  # what heads and embeddings hold is compared as weights
    if field == "architecture" or field.startswith("config."):
        return "FILE101"
    if field.startswith("generation."):
        return "" if field.endswith("_token_id") else "FILE104"
    return {
        "tokenizer.vocabulary": "TOKN101",
        "tokenizer.rules": "TOKN104",
        "tokenizer.special_tokens": "TOKN104",
        "template": "TMPL101",
        "stop_ids": "FILE103",
        "quantization": "FILE102",
        "weights.dtype": "FILE107",
        "contradiction": "FILE114",
        "importance": "FILE115",
        "reference": "FILE116",
        "licence.name": "FILE106",
        "licence.file": "FILE106",
        "missing": "FILE105",
    }.get(field, "")
