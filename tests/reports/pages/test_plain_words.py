"""Plain words are never better than the evidence."""

from __future__ import annotations

import pytest

from harness.reports.pages.comparison import render_html
from harness.reports.pages.plain_words import everyday, head, parted
from harness.reports.pages.strip import strip_plot
from harness.verdicts.model import AxisVerdict


@pytest.fixture
def bad(scored_toy):
    return scored_toy[0].candidates[0]


def changed(card, **evidence):
    return card.model_copy(update={"evidence": card.evidence.model_copy(update=evidence)})


def test_broken_numbers_are_the_only_thing_that_is_told(scored_toy, bad):
    """Where tokens have no finite divergence, no mean and no width in bits is told, and the page says so."""
    broken = changed(bad, violations=3, all_zero=True)
    (said,) = everyday(broken)
    assert said.startswith(f"At 3 of {bad.evidence.tokens:,} tokens it has no finite divergence")
    assert "to the last digit" not in render_html(scored_toy[0].model_copy(update={"candidates": (broken,)}))


def test_a_doubtful_width_in_bits_is_not_told(bad):
    """A ladder that is not monotone names no bits; one that was left names its end."""
    ladder = bad.evidence.ladder
    doubt = ladder.model_copy(update={"note": "the ladder is not monotone on these items"})
    assert not any("bits per weight" in line for line in everyday(changed(bad, ladder=doubt)))
    closer = ladder.model_copy(update={"note": "closer to the reference than 8 bits"})
    assert any("more than 8 bits per weight" in line for line in everyday(changed(bad, ladder=closer)))


def test_bounds_do_not_hide_another_model(bad):
    """Only where nothing but the distance failed do the large words speak of bounds."""
    axes = (AxisVerdict(axis="identity", outcome="BEYOND", cause="other-model", reason="x"),)
    stranger = bad.model_copy(update={"verdict": bad.verdict.model_copy(update={"axes": axes})})
    assert head(stranger) == "Not as claimed"


def test_a_claim_made_from_the_reference_shades_nothing(scored_toy, bad):
    """The zone of honest copies is what every candidate is held against, and broken numbers stand at its far end."""
    honest = bad.evidence.honest
    rebuilt = honest[0].model_copy(update={"name": "claimed rtn:4", "value": 10.0, "low": 9.0, "high": 11.0})
    card = scored_toy[0]
    both = card.model_copy(update={"candidates": (changed(bad, honest=(*honest, rebuilt)), card.candidates[1])})
    zone = strip_plot(card).split('class="zone"')[1].split("/>")[0]
    assert float(zone.split('width="')[1].split('"')[0]) < 300
    assert float(strip_plot(both).split('class="zone"')[1].split('width="')[1].split('"')[0]) < 300
    checks = tuple(
        c.model_copy(update={"value": float("nan")}) if c.key == "kl_ref_cand" else c for c in bad.evidence.checks
    )
    assert "not finite" in strip_plot(
        card.model_copy(update={"candidates": (changed(bad, checks=checks), card.candidates[1])})
    )


def test_texts_are_cut_where_they_part():
    """The shared beginning once, then each side's own."""
    assert parted("abcd", "abxy") == ("ab", "cd", "xy")
    assert parted("ab", "ab") == ("ab", "", "")
