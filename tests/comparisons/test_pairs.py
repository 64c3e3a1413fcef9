"""Candidates against each other."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from harness.comparisons.pairs import ALPHA, orders, rank
from harness.evidence.clustered import Sums
from harness.evidence.contrasts import log_contrast, two_sided_p
from tests.support.tables import drawn, table_of


def noisy(rng, documents, factor=1.0, spread=0.3):
    """The same documents, each moved by a factor and its own noise of mean 1."""
    moves = np.exp(rng.normal(-(spread**2) / 2, spread, len(documents)))
    return table_of({key: values * factor * move for (key, values), move in zip(documents.items(), moves, strict=True)})


def test_a_sure_order_is_named_and_an_unsure_one_is_not():
    """Three candidates: one clearly further, two that the documents cannot tell apart share places 1 to 2."""
    rng = np.random.default_rng(5)
    documents = drawn(rng, 40)
    ranking = rank({"awq": noisy(rng, documents), "gptq": noisy(rng, documents, 1.02), "rtn": noisy(rng, documents, 3)})
    places = {place.label: (place.best, place.worst) for place in ranking.places}
    assert places == {"awq": (1, 2), "gptq": (1, 2), "rtn": (3, 3)}
    closer = {(pair.first, pair.second): pair.closer for pair in ranking.pairs}
    assert closer == {("awq", "gptq"): "", ("awq", "rtn"): "awq", ("gptq", "rtn"): "gptq"}
    far = ranking.pairs[1]
    assert far.low < far.ratio < far.high < 0.5
    assert far.ear_low > 0


def test_the_same_candidate_twice_is_no_order():
    """Exactly equal divergences are a tie, whatever the number of documents."""
    documents = drawn(np.random.default_rng(6), 12)
    (pair,) = rank({"a": table_of(documents), "b": table_of(documents)}).pairs
    assert (pair.ratio, pair.closer, pair.holm) == (1.0, "", 1.0)


def test_the_reference_itself_is_closer_than_anything_that_moved():
    """A divergence of exactly zero has no logarithm, and is the closest there is."""
    documents = drawn(np.random.default_rng(7), 12)
    still = table_of({key: values * 0 for key, values in documents.items()})
    for order in (("still", "moved"), ("moved", "still")):
        tables = {"still": still, "moved": table_of(documents)}
        (pair,) = rank({name: tables[name] for name in order}).pairs
        assert pair.closer == "still"
    assert rank({"one": still}) is None


def test_one_document_ranks_nobody():
    """No error, no order."""
    one = {"d": np.full(50, 0.1)}
    for other in (np.full(50, 0.9), np.zeros(50)):
        (pair,) = rank({"a": table_of(one), "b": table_of({"d": other})}).pairs
        assert pair.closer == ""
    assert rank({"a": table_of(one), "b": table_of({"e": np.full(50, 0.9)})}) is None


def skewed(rng, documents=20):
    """Sums of two equal candidates, the second of which owes half of its mean to a fifth of the documents."""
    count = np.full(documents, 40.0)
    first = rng.gamma(4.0, 0.25, documents)
    rare = np.where(rng.random(documents) < 0.2, 2.5, 0.0)
    return {"a": Sums(first * count, count), "b": Sums((0.5 * first + rare) * count, count)}


def test_equal_candidates_are_seldom_ordered_where_few_documents_hold_much():
    """Null: equal means, 1,000 draws of 20 documents. At most 5 % wrong (exact bound at 1e-4), where Student's t errs."""
    rng = np.random.default_rng(20261130)
    draws = [skewed(rng) for _ in range(1000)]
    assert sum(bool(orders(draw)[0].closer) for draw in draws) <= binom.ppf(1 - 1e-4, 1000, 0.05)
    plain = [two_sided_p(log_contrast((1.0, -1.0), tuple(draw.values()))) <= ALPHA for draw in draws]
    assert sum(plain) > binom.ppf(1 - 1e-4, 1000, 0.05)


def test_a_clear_order_is_still_found():
    """Power: three times as far on 30 documents of ordinary spread is named every time."""
    rng = np.random.default_rng(3)
    for _ in range(50):
        count, base = np.full(30, 40.0), rng.gamma(4.0, 0.25, 30)
        sums = {"a": Sums(base * count, count), "b": Sums(3 * base * rng.lognormal(0, 0.3, 30) * count, count)}
        assert orders(sums)[0].closer == "a"


@pytest.mark.slow
def test_wrong_orders_are_rare_over_all_pairs():
    """Null: four candidates of equal mean. A named order in at most 5 % of 400 draws; exact binomial bound at 1e-4."""
    rng = np.random.default_rng(20261127)
    wrong = 0
    for _ in range(400):
        documents = drawn(rng, 24, tokens=10)
        wrong += any(pair.closer for pair in rank({name: noisy(rng, documents) for name in "abcd"}).pairs)
    assert wrong <= binom.ppf(1 - 1e-4, 400, 0.05)
