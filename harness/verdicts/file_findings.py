"""Facts of the files that differ, as findings."""

from __future__ import annotations

from harness.comparisons.model import Difference
from harness.verdicts.model import Finding

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
        "contradiction": "FILE114",
        "importance": "FILE115",
        "reference": "FILE116",
        "licence.name": "FILE106",
        "licence.file": "FILE106",
        "missing": "FILE105",
    }.get(field, "")
