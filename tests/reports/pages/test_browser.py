"""Pages in real Chromium: no request, no complaint, no barrier; 20,000 rows that can be searched at once."""

from __future__ import annotations

import json

import pytest

from harness.reports.pages.audit import render_audit
from harness.reports.pages.comparison import render_html
from harness.reports.pages.tasks import render_tasks
from harness.reports.tokens import Tokens, TokenSheet
from tests.support.audit_cards import audit_card
from tests.support.browser import Opened, open_browser
from tests.support.reported import many

pytestmark = pytest.mark.browser
EVIL = "</script><script>window.stolen=1</script><img src=x onerror=window.stolen=2>\"'\u202e\x1b[31m" + "A" * 5000


@pytest.fixture(scope="module")
def browser():
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def compared(scored_toy):
    """A scorecard of two candidates, with as many rows of one of them as a page may hold."""
    card, tokens = scored_toy
    return card, many(Tokens(tokens.sheets[:1], tokens.pieces), 20_000)


@pytest.fixture(scope="module")
def page(browser, compared, tmp_path_factory) -> Opened:
    return browser.open(render_html(*compared), tmp_path_factory.mktemp("page"))


def test_it_asks_nobody_and_complains_of_nothing(page, compared):
    """No request besides the file itself, no error and no violated policy, less than a megabyte with 20,000 rows."""
    assert len(render_html(*compared).encode()) < 1_000_000
    assert page.requests == []
    assert page.complaints == []
    assert "20,000" in page.tab.locator("#token-status").inner_text()


def test_twenty_thousand_rows_are_searched_at_once(page):
    """A word typed, a filter set, a column sorted: each answers within a second, and only a window of rows exists."""
    tab = page.tab
    for act in (
        "const box = document.getElementById('token-search'); box.value = 'e'; box.dispatchEvent(new Event('input'))",
        "document.getElementById('token-flips').click()",
        "document.querySelector('button[data-order=pref]').click()",
        "document.getElementById('token-view').scrollTop = 1e9",
    ):
        seconds = tab.evaluate(
            f"async () => {{ const t = performance.now(); {act};"
            " await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));"
            " return (performance.now() - t) / 1000; }"
        )
        assert seconds < 1.0, act
    assert tab.locator("#token-rows tr").count() < 80
    total = int(tab.locator("#token-status").inner_text().split(" of")[0].replace(",", ""))
    assert tab.locator("#token-rows tr").last.get_attribute("aria-rowindex") == str(total + 1)
    tab.evaluate("document.getElementById('token-search').value = 'no such word anywhere'")
    tab.locator("#token-search").dispatch_event("input")
    assert tab.locator("#token-status").inner_text().startswith("0 of")
    assert tab.locator("#token-rows tr").count() == 0


def test_the_keyboard_reaches_everything(browser, compared, tmp_path):
    """The first stop skips to the verdict; summaries open with Enter, columns sort with Space, the rows scroll with keys."""
    tab = browser.open(render_html(*compared), tmp_path).tab
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.className") == "skip"
    summary = tab.locator("summary").first
    summary.focus()
    tab.keyboard.press("Enter")
    assert tab.locator("details").first.get_attribute("open") is not None
    head = tab.locator("button[data-order=item]")
    head.focus()
    tab.keyboard.press("Space")
    assert tab.locator("th:has(button[data-order=item])").get_attribute("aria-sort") == "ascending"
    tab.locator("#token-view").focus()
    tab.keyboard.press("PageDown")
    for _ in range(100):  # the page's own rules forbid what waits inside it
        if tab.evaluate("document.getElementById('token-view').scrollTop") > 100:
            break
        tab.wait_for_timeout(100)
    assert tab.evaluate("document.getElementById('token-view').scrollTop") > 100


SLOW = [pytest.param(*one, marks=pytest.mark.slow) for one in (("light", 1280), ("light", 400), ("dark", 1280))]


@pytest.mark.parametrize(("theme", "width"), [("dark", 400), *SLOW])
def test_no_barrier_of_level_a_or_aa(browser, compared, tmp_path, theme, width):
    """axe finds nothing, with every part of the page opened, in both themes, and nothing sticks out sideways."""
    opened = browser.open(render_html(*compared), tmp_path, theme=theme, width=width)
    opened.tab.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert opened.barriers() == []
    assert opened.tab.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(("theme", "width"), [("dark", 400), pytest.param("light", 1280, marks=pytest.mark.slow)])
def test_pages_of_audits_and_tasks_have_no_barrier_either(browser, toy_tasks, tmp_path, theme, width):
    """With hostile names and every part opened: no barrier, no request, no complaint, nothing that sticks out sideways."""
    named = [one.model_copy(update={"label": EVIL, "notes": (EVIL,)}) for one in toy_tasks.candidates]
    for page in (
        render_audit(audit_card("b"), json.dumps({"messages": [{"role": "user", "content": EVIL}]}).encode()),
        render_audit(audit_card("p", facts=None), b""),
        render_tasks(toy_tasks.model_copy(update={"candidates": tuple(named), "reference": EVIL})),
    ):
        opened = browser.open(page, tmp_path, theme=theme, width=width)
        opened.tab.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert (opened.requests, opened.complaints) == ([], [])
        assert opened.tab.evaluate("window.stolen") is None
        assert opened.barriers() == []
        assert opened.tab.evaluate("document.documentElement.scrollWidth") <= width


def test_without_scripts_the_verdict_and_every_number_are_there(browser, compared, tmp_path):
    """The table of tokens says where its rows are to be had."""
    tab = browser.open(render_html(*compared), tmp_path, scripts=False).tab
    assert tab.locator("#tokens").is_hidden()
    assert "--format csv" in tab.locator("noscript").inner_text()
    for heading in ("Checks", "Items that moved most", "What this cannot show", "Reproduce"):
        assert tab.locator(f"text={heading}").first.is_visible()


def test_hostile_words_are_shown_and_not_obeyed(browser, compared, tmp_path):
    """Labels, tokens and item names with markup, bidi, escapes and endless lines: nothing runs, nothing sticks out."""
    card, tokens = compared
    bad = [
        one.model_copy(update={"evidence": one.evidence.model_copy(update={"label": EVIL, "claim": EVIL})})
        for one in card.candidates
    ]
    hostile = card.model_copy(
        update={"candidates": tuple(bad), "command": EVIL, "pieces": dict.fromkeys(card.pieces, EVIL)}
    )
    sheets = tuple(TokenSheet(EVIL, sheet.table) for sheet in tokens.sheets)
    opened = browser.open(render_html(hostile, Tokens(sheets, dict.fromkeys(tokens.pieces or {}, EVIL))), tmp_path)
    assert opened.tab.evaluate("window.stolen") is None
    assert opened.requests == []
    assert opened.complaints == []
    assert "\u202e" not in opened.tab.content()
    assert opened.tab.evaluate("document.documentElement.scrollWidth") <= 1280
    assert opened.tab.locator("#token-rows tr").count() > 10
