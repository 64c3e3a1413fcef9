"""The page: self-contained, small, and deaf to what a model says."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from harness.reports.html import render_html
from harness.reports.markdown import render_markdown

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'\u202e\x1b[31m"


@pytest.fixture(scope="module")
def scorecard(toy, tiny_suite, shared_cache, tmp_path_factory):
    from tests.conftest import Runner

    run = Runner(shared_cache, tmp_path_factory.mktemp("html"))
    return run(toy, (f"rtn:4:{toy}", "bf16"), (f"dtype:bf16:{toy}", ""), suite=str(tiny_suite), ladder=(8, 4))


def test_the_page_stands_alone(scorecard):
    """No script, no address to fetch, a policy that forbids both, and less than a megabyte."""
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


@pytest.mark.browser
def test_chromium_renders_it_without_a_complaint(scorecard, tmp_path):
    """Real Chromium: a picture of the page, no request, no policy violation on the console."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("Chromium is not installed")
    page = tmp_path / "report.html"
    page.write_text(render_html(scorecard), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--enable-logging=stderr",
             "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
             f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1100,2400"]  # fmt: skip
    shot = tmp_path / "shot.png"
    done = subprocess.run(
        [browser, *flags, f"--screenshot={shot}", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert shot.stat().st_size > 30_000
    assert not re.search(r"CONSOLE|Content Security Policy", done.stderr), done.stderr[-2000:]


def test_a_slice_of_one_document_does_not_stretch_the_axis():
    """A slice without an interval is a point, and the axis stays within what the others need."""
    from harness.comparisons.model import Slice
    from harness.reports.plots import slice_plot

    common = {"axis": "position", "tokens": 50, "note": ""}
    parts = [
        Slice(name="a", value=0.1, low=0.05, high=0.2, clusters=9, **common),
        Slice(name="b", value=0.1, low=0.0, high=float("inf"), clusters=1, **common),
    ]
    figure = slice_plot(parts, 0.01)
    assert figure.count('class="whisker"') == 1
    assert figure.count('class="grid"') < 6
