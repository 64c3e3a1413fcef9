"""The catalogue of findings, a file per family. Each code has a page in docs/findings, made from it by ``make docs``."""

from __future__ import annotations

from harness.verdicts.catalogue import files, hosts, prompts, tasks, tools, weights
from harness.verdicts.catalogue.model import Entry

CATALOGUE: dict[str, Entry] = {
    code: found for family in (files, prompts, weights, hosts, tasks, tools) for code, found in family.ENTRIES.items()
}


def entry(code: str) -> Entry:
    """The catalogue entry of a code."""
    return CATALOGUE[code]
