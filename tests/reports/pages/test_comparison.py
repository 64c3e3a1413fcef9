"""The page: self-contained, small, and deaf to what a model says."""

from __future__ import annotations

import re

import pytest

from harness.reports.formats.markdown import render_markdown
from harness.reports.pages.comparison import render_html
from harness.reports.tokens import Tokens, TokenSheet

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'\u202e\x1b[31m"


@pytest.fixture
def scorecard(scored_toy):
    return scored_toy[0]


def test_the_page_stands_alone(scorecard):
    """No address to fetch, a policy that forbids all but our own, and less than a megabyte."""
    page = render_html(scorecard)
    assert len(page.encode()) < 1_000_000
    assert "<script" not in page
    assert not re.search(r'(src|href)="(?!#)', page)
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
    for heading in ("Axes", "Checks", "Items that moved most", "What this cannot show", "Reproduce"):
        assert heading in page
    assert page.count("<svg") >= 4


def test_hostile_text_is_shown_and_not_obeyed(scorecard):
    """Labels, tokens and templates of a hostile model are escaped in HTML and Markdown alike."""
    card = scorecard.candidates[0]
    evidence = card.evidence.model_copy(update={"label": EVIL, "claim": EVIL})
    hostile = scorecard.model_copy(
        update={
            "candidates": (card.model_copy(update={"evidence": evidence}),),
            "pieces": dict.fromkeys(scorecard.pieces, EVIL),
            "command": EVIL,
        }
    )
    page, text = render_html(hostile), render_markdown(hostile)
    for shown in (page, text):
        assert "\u202e" not in shown
        assert "\x1b" not in shown
    assert "<script>" not in page
    assert "<img" not in page
    assert "<script>" not in text


def test_a_slice_of_one_document_does_not_stretch_the_axis():
    """A slice without an interval is a point, and the axis stays within what the others need."""
    from harness.comparisons.model import Slice
    from harness.reports.pages.plots import slice_plot

    common = {"axis": "position", "tokens": 50, "note": ""}
    parts = [
        Slice(name="a", value=0.1, low=0.05, high=0.2, clusters=9, **common),
        Slice(name="b", value=0.1, low=0.0, high=float("inf"), clusters=1, **common),
    ]
    figure = slice_plot(parts, 0.01)
    assert figure.count('class="whisker"') == 1
    assert figure.count('class="grid"') < 6


def test_a_page_of_fifty_candidates_stays_small_and_keeps_every_number(scored_toy):
    """Rows of tokens, figures and excerpts become fewer; what is beyond keeps its own longest, and what is left out is told."""
    card, tokens = scored_toy
    beyond, within = card.candidates
    crowd = [
        one.model_copy(update={"evidence": one.evidence.model_copy(update={"label": f"copy {place}"})})
        for place, one in enumerate([within] * 49 + [beyond])
    ]
    sheets = tuple(TokenSheet(one.evidence.label, tokens.sheets[0].table) for one in crowd)
    page = render_html(
        card.model_copy(update={"candidates": tuple(crowd), "ranking": None}), Tokens(sheets, tokens.pieces)
    )
    assert len(page.encode()) < 1_000_000
    assert page.count('aria-label="Checks of') == 50
    parts = page.split('<section id="candidate-')
    brief = [place for place, part in enumerate(parts[1:]) if "figures and excerpts of this one are left out" in part]
    assert 40 <= len(brief) <= 50
    assert 49 not in brief or len(brief) == 50
