"""The catalogue of findings and its pages."""

from __future__ import annotations

import re
from pathlib import Path

from harness.comparisons.model import Difference
from harness.verdicts.catalogue import CATALOGUE
from harness.verdicts.file_findings import file_findings

PAGES = Path(__file__).resolve().parents[2] / "docs" / "findings"


def test_every_code_has_a_page_and_every_page_a_code():
    """Pages are made from the catalogue by ``make docs``; none is missing, stale or left over."""
    assert {page.stem for page in PAGES.glob("*.md") if page.stem != "README"} == set(CATALOGUE)
    for code, entry in CATALOGUE.items():
        page = (PAGES / f"{code}.md").read_text(encoding="utf-8")
        assert entry.title in page, f"{code}: run make docs"
        assert entry.fix in page, f"{code}: run make docs"


def test_every_code_is_raised_somewhere():
    """A code that nothing raises is a promise that is not kept."""
    source = "\n".join(
        p.read_text() for p in (Path(__file__).resolve().parents[2] / "harness" / "verdicts").glob("*.py")
    )
    for code in CATALOGUE:
        assert len(re.findall(f'"{code}"', source)) >= 1, code


def test_files_become_findings():
    """A rope difference is severe, a licence difference is told, a parameter count alone is not a finding."""
    fields = ["config.rope_parameters", "licence.name", "weights.parameters", "generation.temperature", "stop_ids"]
    found = file_findings([Difference(field=f, reference="a", candidate="b") for f in fields])
    assert [finding.code for finding in found] == ["FILE101", "FILE106", "FILE104", "FILE103"]
