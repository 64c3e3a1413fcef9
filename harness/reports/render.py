"""Write every rendering of a scorecard into the run's folder."""

from __future__ import annotations

from pathlib import Path

from harness.errors import UnknownName
from harness.observations.journal import write_atomically
from harness.reports.html import render_html
from harness.reports.markdown import render_markdown
from harness.reports.scorecard import Scorecard

FORMATS = ("json", "html", "md")


def render(scorecard: Scorecard, form: str) -> bytes:
    """One rendering as bytes; raises UnknownName for a format that does not exist."""
    if form == "json":
        return scorecard.model_dump_json(indent=1).encode()
    if form == "html":
        return render_html(scorecard).encode()
    if form == "md":
        return render_markdown(scorecard).encode()
    raise UnknownName(f"there is no report format {form!r}", fix=f"formats: {', '.join(FORMATS)}")


def write_reports(scorecard: Scorecard, folder: Path) -> list[Path]:
    """Write scorecard.json, report.html and report.md; returns their paths."""
    paths = []
    for form, name in (("json", "scorecard.json"), ("html", "report.html"), ("md", "report.md")):
        path = folder / name
        write_atomically(path, render(scorecard, form))
        paths.append(path)
    return paths
