"""Columns of small integers: what a page shows is what was stored, to three digits, at every extreme."""

from __future__ import annotations

import base64
import math
from dataclasses import replace

import numpy as np
import pytest

from harness.reports.pages.token_data import INFINITE, MOST_ROWS, UNKNOWN, kept_rows, token_data
from harness.reports.tokens import Tokens, TokenSheet
from tests.support.reported import many


def column(sheet, name):
    """A column as the page's script reads it."""
    width, text = sheet["columns"][name]
    return np.frombuffer(base64.b64decode(text), dtype=f"<u{width}").astype(np.int64)


def probability(code, data):
    """The script's own rule."""
    if code in (0, INFINITE):
        return float(code == INFINITE)
    return 1 / (1 + math.exp(data["odds"] - (code - 1) * data["oddsStep"]))


@pytest.fixture
def table(scored_toy):
    return scored_toy[1].sheets[0].table


def changed(table, **columns):
    """The same table with other values in its first rows."""
    rows = table.rows.copy()
    for name, values in columns.items():
        rows[name][: len(values)] = values
    return replace(table, rows=rows)


def test_every_row_comes_back_as_it_was(scored_toy, table):
    """Divergence, probabilities, positions and texts of a real run."""
    tokens = Tokens((TokenSheet("one", table),), scored_toy[1].pieces)
    data = token_data(tokens)
    (sheet,) = data["sheets"]
    assert sheet["kept"] == sheet["of"] == len(table.rows) == kept_rows(tokens)
    kl = np.exp(data["low"] + (column(sheet, "kl") - 1) * data["step"])
    assert np.allclose(kl, table.rows["kl_ref_cand"], rtol=5e-4)
    scored = table.rows["label"] >= 0
    for name, loss in (("pref", "nll_ref"), ("pcand", "nll_cand")):
        shown = np.array([probability(code, data) for code in column(sheet, name)])
        assert np.allclose(shown[scored], np.exp(-table.rows[loss][scored]), rtol=2e-3)
    assert np.array_equal(column(sheet, "position"), table.rows["position"] + 1)
    labels = [data["pieces"][index] for index in column(sheet, "label")]
    assert labels == [tokens.piece(int(label)) for label in table.rows["label"]]


def test_extremes_are_told_as_what_they_are(scored_toy, table):
    """Infinite and missing divergences, certainty, impossibility, ids and positions beyond 65,535."""
    table = changed(table, kl_ref_cand=[np.inf, np.nan, 0.0, 4321.0], nll_ref=[0.0, np.inf, np.nan, 1e-4],
                    label=[70_000, 70_001], position=[70_000])  # fmt: skip
    data = token_data(Tokens((TokenSheet("one", table),), scored_toy[1].pieces))
    (sheet,) = data["sheets"]
    kl = column(sheet, "kl")
    assert list(kl[:3]) == [INFINITE, UNKNOWN, 0]
    assert math.exp(data["low"] + (kl[3] - 1) * data["step"]) == pytest.approx(4321, rel=5e-4)
    odds = column(sheet, "pref")
    assert list(odds[:3]) == [INFINITE, 0, UNKNOWN]
    assert 1 - probability(odds[3], data) == pytest.approx(1e-4, rel=2e-3)
    assert column(sheet, "position")[0] == 70_001
    assert data["pieces"][column(sheet, "label")[0]] == "id 70000"


def test_what_moved_most_is_kept(scored_toy, table):
    """Of more rows than a page holds, the largest divergences, broken ones first, in reading order."""
    big = many(Tokens((TokenSheet("one", table),), scored_toy[1].pieces), MOST_ROWS + 1)
    whole = big.sheets[0].table
    rows = whole.rows.copy()
    rows["kl_ref_cand"][7] = np.inf
    (sheet,) = token_data(Tokens((TokenSheet("one", replace(whole, rows=rows)),), big.pieces))["sheets"]
    assert sheet["kept"] == MOST_ROWS < sheet["of"]
    assert (column(sheet, "kl") == INFINITE).sum() == 1
