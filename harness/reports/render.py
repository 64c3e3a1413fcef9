"""Every rendering of a scorecard by its name, and those that a run's folder gets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from harness.errors import UnknownName
from harness.observations.journal import write_atomically
from harness.reports.formats import FORMATS
from harness.reports.formats.badge import render_badge, render_shields
from harness.reports.formats.every_eval_ever import render_every_eval_ever
from harness.reports.formats.junit import render_junit
from harness.reports.formats.markdown import render_markdown
from harness.reports.formats.model_card import render_model_card
from harness.reports.formats.rows import render_csv, render_parquet
from harness.reports.pages.comparison import render_html
from harness.reports.scorecard import Scorecard
from harness.reports.tokens import Tokens

_RENDER: dict[str, Callable[[Scorecard, Tokens], bytes]] = {
    "json": lambda card, _: card.model_dump_json(indent=1).encode(),
    "html": lambda card, tokens: render_html(card, tokens).encode(),
    "md": lambda card, _: render_markdown(card).encode(),
    "junit": lambda card, _: render_junit(card),
    "badge": lambda card, _: render_badge(card),
    "shields": lambda card, _: render_shields(card),
    "csv": lambda _, tokens: render_csv(tokens),
    "parquet": lambda _, tokens: render_parquet(tokens),
    "model-card": lambda card, _: render_model_card(card),
    "every-eval-ever": lambda card, _: render_every_eval_ever(card),
}
assert tuple(_RENDER) == FORMATS


def render(scorecard: Scorecard, form: str, tokens: Tokens | None = None) -> bytes:
    """One rendering as bytes; raises UnknownName for a format that does not exist."""
    if form not in _RENDER:
        raise UnknownName(f"there is no report format {form!r}", fix=f"formats: {', '.join(FORMATS)}")
    return _RENDER[form](scorecard, tokens or Tokens())


def write_reports(scorecard: Scorecard, folder: Path, tokens: Tokens | None = None) -> list[Path]:
    """Write scorecard.json, report.html and report.md; returns their paths."""
    paths = []
    for form, name in (("json", "scorecard.json"), ("html", "report.html"), ("md", "report.md")):
        path = folder / name
        write_atomically(path, render(scorecard, form, tokens))
        paths.append(path)
    return paths
