"""Baselines: written for review, read with suspicion, compared only where they answer the same question."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.comparisons.baselines import Baseline, check_comparable, digests_of, read_baseline, write_baseline
from harness.comparisons.distributions.documents import DocumentSums
from harness.errors import BaselineMismatch
from tests.support.baselines import CONDITIONS, baseline_of
from tests.support.tables import drawn, table_of


@pytest.fixture(scope="module")
def table():
    return table_of(drawn(np.random.default_rng(3), 10, tokens=15), agree=0.9)


def test_a_baseline_reads_back_exactly_and_has_a_line_per_document(table):
    """Every sum to the last bit, so that the same checkpoint is the same; version control shows which document moved."""
    baseline = baseline_of(table)
    text = write_baseline(baseline)
    assert write_baseline(read_baseline(text, "b.json")) == text
    again = read_baseline(text, "b.json").sums(list(table.units))
    ours = DocumentSums.of(table)
    assert all((again.totals[key] == ours.totals[key]).all() for key in ours.totals)
    lines = [line for line in text.splitlines() if line.strip().startswith('"doc-')]
    assert len(lines) == 10


def _without(key):
    return lambda raw: raw.pop(key)


def _document(**changes):
    return lambda raw: raw["documents"]["doc-003"].update(changes)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda raw: raw.update(baseline_version=2), "version 2"),
        (_without("documents"), "damaged"),
        (_without("baseline_version"), "damaged"),
        (_document(sums=[1.0]), "doc-003"),
        (_document(tokens=[-1] * 14), "doc-003"),
        (lambda raw: raw["documents"]["doc-003"]["sums"].__setitem__(0, "Infinity"), "doc-003"),
        (lambda raw: raw.update(metrics=raw["metrics"][::-1]), "other metrics"),
        (lambda raw: raw.update(extra=1), "damaged"),
        (lambda raw: raw.update(metrics=[]), "other metrics"),
        (_document(tokens=[10**400] * 14), "doc-003"),
    ],
)
def test_damaged_and_foreign_files_are_refused(table, damage, said):
    """A file that was edited, cut or written by a newer version never becomes a comparison."""
    raw = json.loads(write_baseline(baseline_of(table)))
    damage(raw)
    with pytest.raises(BaselineMismatch) as caught:
        read_baseline(json.dumps(raw), "b.json")
    assert said in str(caught.value)


@given(st.text(max_size=60))
def test_anything_else_is_no_baseline(text):
    """Whatever it is: one error, no crash."""
    with pytest.raises(BaselineMismatch):
        read_baseline(text, "b.json")


@pytest.mark.parametrize(
    ("field", "said"),
    [("suite_digest", "another suite"), ("profile", "another profile"), ("vocabulary", "another tokenizer"),
     ("reference_digest", "another reference"), ("arithmetic", "another arithmetic"), ("estimator", "reference cache")],
)  # fmt: skip
def test_another_question_is_refused(table, field, said):
    """Suite, profile, tokenizer and reference must be the ones that the baseline was made with."""
    here = CONDITIONS.model_copy(update={field: "other"})
    with pytest.raises(BaselineMismatch) as caught:
        check_comparable(baseline_of(table), here, digests_of(list(table.sequences)), "b.json")
    assert said in str(caught.value)
    assert "baseline save" in str(caught.value)


def test_a_few_documents_may_differ_and_not_more(table):
    """Sampled replies may come out otherwise on another machine; a tenth is left out, half is another suite."""
    baseline, digests = baseline_of(table), digests_of(list(table.sequences))
    check_comparable(baseline, CONDITIONS, digests | {"doc-000": "x"}, "b.json")
    with pytest.raises(BaselineMismatch) as caught:
        check_comparable(baseline, CONDITIONS, digests | {f"doc-{g:03d}": "x" for g in range(6)}, "b.json")
    assert "4 of 10" in str(caught.value)
    longer = digests | {f"more-{g}": "x" for g in range(11)}
    with pytest.raises(BaselineMismatch):
        check_comparable(baseline, CONDITIONS, longer, "b.json")


def test_a_copy_without_a_single_flip_is_a_baseline_too():
    """Numbers without an interval are left out of the summary, so that the file is JSON and its digest exists."""
    baseline = baseline_of(table_of({f"d{g}": np.full(20, 1e-6) for g in range(5)}))
    assert "confident_flips" not in baseline.summary
    assert "NaN" not in write_baseline(baseline)


def test_the_digest_of_a_document_is_that_of_what_was_scored(table):
    """Other ids, another start or another item in the same document change it; the order of documents does not."""
    from dataclasses import replace

    first, *rest = table.sequences
    digests = digests_of([first, *rest])
    assert digests_of([*rest, first]) == digests
    for changed in (replace(first, ids=(*first.ids, 5)), replace(first, first=1), replace(first, key="other")):
        assert digests_of([changed, *rest])[first.cluster] != digests[first.cluster]
    assert isinstance(baseline_of(table), Baseline)
