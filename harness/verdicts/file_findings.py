"""Facts of the files that differ, as findings."""

from __future__ import annotations

from harness.comparisons.model import Difference
from harness.verdicts.model import Finding
from harness.verdicts.tokens_in import JudgedPrompts


def file_findings(differences: list[Difference]) -> list[Finding]:
    """Turn differing facts of the files into findings, one per fact that has a code."""
    found = []
    for difference in differences:
        code = _code_of(difference.field)
        if code:
            detail = f"{difference.field}: {difference.reference} -> {difference.candidate}"
            found.append(Finding(code=code, detail=detail[:500]))
    return found


def with_prompts(found: list[Finding], prompts: JudgedPrompts | None) -> list[Finding]:
    """Findings of the files with those of the tokens-in check, which says more of tokenizers than that their texts differ."""
    if prompts is None:
        return found
    kept = [f for f in found if not (f.code == "TOKN104" and f.detail.startswith("tokenizer.rules"))]
    known = {finding.code for finding in kept}
    return [*kept, *(finding for finding in prompts.findings if finding.code not in known)]


def _code_of(field: str) -> str:
    if field in {"config.vocab_size", "weights.parameters"}:
        return ""
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
        "licence.name": "FILE106",
        "licence.file": "FILE106",
        "missing": "FILE105",
    }.get(field, "")
