"""What other tools read: each format is valid by its own rules, says no more than the scorecard, and obeys no hostile name."""

from __future__ import annotations

import csv
import io
import json
from xml.etree import ElementTree

import jsonschema
import numpy as np
import pytest
import yaml

from harness.errors import UnknownName, UsageError
from harness.reports.formats import FORMATS
from harness.reports.formats.every_eval_ever import every_eval_ever_files
from harness.reports.formats.markdown import MOST_BYTES
from harness.reports.render import render
from harness.reports.tokens import Tokens, TokenSheet
from harness.verdicts.model import AxisVerdict

EVIL = '=cmd|calc!A1"><script>\u202e\x1b[31m\n| **bold** |'


def hostile(card):
    """The same card with names that nobody should have."""
    bad = [
        one.model_copy(update={"evidence": one.evidence.model_copy(update={"label": EVIL, "claim": EVIL})})
        for one in card.candidates
    ]
    named = {
        "reference": card.reference.model_copy(update={"folder": EVIL, "spec": EVIL}),
        "suite": card.suite.model_copy(update={"name": EVIL, "licence": EVIL, "cannot_show": (EVIL,)}),
        "command": EVIL,
        "partial": EVIL,
    }
    return card.model_copy(update={"candidates": tuple(bad), **named})


def alone(card, index=0):
    """The same card with one candidate."""
    one = card.candidates[index]
    return card.model_copy(update={"candidates": (one,), "outcome": one.verdict.outcome, "ranking": None})


def test_every_format_renders_hostile_names_harmless(scored_toy):
    """No control character, no bidi mark and no tag of a name reaches any text format."""
    card, tokens = scored_toy
    sheets = tuple(TokenSheet(EVIL, sheet.table) for sheet in tokens.sheets)
    for form in set(FORMATS) - {"parquet", "model-card", "json"}:
        told = alone(card, 0) if form == "every-eval-ever" else card
        said = render(hostile(told), form, Tokens(sheets, tokens.pieces)).decode()
        assert "\u202e" not in said, form
        assert "\x1b" not in said, form
        assert form in {"html", "csv", "shields", "every-eval-ever"} or "<script>" not in said, form
    with pytest.raises(UnknownName, match="no report format 'pdf'"):
        render(card, "pdf")


def test_junit_counts_what_it_holds(scored_toy):
    """One case per axis; what is beyond fails, what was not run is skipped, and the numbers are properties."""
    root = ElementTree.fromstring(render(scored_toy[0], "junit"))
    bad, good = root.findall("testsuite")
    assert bad.get("failures") == str(len(bad.findall(".//failure")))
    assert int(bad.get("failures")) >= 1
    assert good.get("failures") == "0"
    assert int(good.get("tests")) == len(good.findall("testcase"))
    assert good.find("testcase[@name='harm']/skipped") is not None
    values = {one.get("name"): one.get("value") for one in bad.findall("properties/property")}
    assert float(values["kl_ref_cand.low"]) < float(values["kl_ref_cand"]) < float(values["kl_ref_cand.high"])


def test_badges_say_the_verdict_and_nothing_better(scored_toy):
    """SVG and shields' JSON carry outcome, cause, reference and date; only WITHIN is green."""
    card = scored_toy[0]
    for one, colour in ((alone(card, 0), "red"), (alone(card, 1), "brightgreen")):
        shields = json.loads(render(one, "shields"))
        assert set(shields) == {"schemaVersion", "label", "message", "color"}
        assert shields["color"] == colour
        assert ElementTree.fromstring(render(one, "badge")).tag.endswith("svg")
        assert shields["message"].startswith(f"{str(one.outcome).lower()} {one.candidates[0].evidence.claim}")


def test_what_could_not_be_measured_is_no_green_build(scored_toy):
    """NOT_TESTABLE and an interrupted run are errors in JUnit."""
    card = alone(scored_toy[0], 1)
    one = card.candidates[0]
    axes = (AxisVerdict(axis="displacement", outcome="NOT_TESTABLE", reason="no band"),)
    untested = one.model_copy(update={"verdict": one.verdict.model_copy(update={"axes": axes})})
    for changed, errors in (
        (card.model_copy(update={"candidates": (untested,)}), "1"),
        (card.model_copy(update={"partial": "interrupted after 3 of 9 items"}), "1"),
    ):
        (suite,) = ElementTree.fromstring(render(changed, "junit")).findall("testsuite")
        assert suite.get("errors") == errors


def test_rows_hold_every_number_of_every_token(scored_toy):
    """CSV and Parquet have a row per scored token and candidate with the stored values; texts never begin a formula."""
    from pyarrow import parquet

    card, tokens = scored_toy
    read = list(csv.DictReader(io.StringIO(render(card, "csv", tokens).decode())))
    table = parquet.read_table(io.BytesIO(render(card, "parquet", tokens)))
    assert len(read) == table.num_rows == sum(len(sheet.table.rows) for sheet in tokens.sheets)
    kl = np.concatenate([sheet.table.rows["kl_ref_cand"] for sheet in tokens.sheets])
    assert np.array_equal(np.array([row["kl_ref_cand"] for row in read], dtype=np.float32), kl)
    assert np.array_equal(table["kl_ref_cand"].to_numpy(), kl)
    assert all(row["text"].startswith('"') for row in read)
    sheets = (TokenSheet("=SUM(A1)", tokens.sheets[0].table),)
    assert b"\n=SUM" not in render(card, "csv", Tokens(sheets, tokens.pieces))


def test_markdown_fits_into_a_comment_whatever_was_compared(scored_toy):
    """Two hundred candidates: the worst come first, the rest is counted, and the limits are still told."""
    card = scored_toy[0]
    places = card.ranking.places * 100
    many = card.model_copy(
        update={"candidates": card.candidates * 100, "ranking": card.ranking.model_copy(update={"places": places})}
    )
    said = render(many, "md").decode()
    assert len(said.encode()) <= MOST_BYTES
    assert "more candidates have no room here" in said
    assert said.index(": BEYOND") < said.index("no room here")
    assert "What this cannot show" in said


def test_a_model_card_links_a_copy_and_never_a_stranger(scored_toy):
    """A quantization is told as one, an honest copy is not, and another model gets no card."""
    card = scored_toy[0]
    quantized = alone(card, 0).candidates[0]
    evidence = quantized.evidence.model_copy(update={"claim": "rtn:4"})
    told = card.model_copy(update={"candidates": (quantized.model_copy(update={"evidence": evidence}),)})
    front = yaml.safe_load(render(told, "model-card").decode().split("---\n")[1])
    assert front["base_model_relation"] == "quantized"
    assert front["base_model"] == card.reference.folder
    assert "base_model_relation" not in yaml.safe_load(render(alone(card, 1), "model-card").decode().split("---\n")[1])
    with pytest.raises(UsageError, match="about one model"):
        render(card, "model-card")
    other = AxisVerdict(axis="identity", outcome="BEYOND", cause="other-model", reason="other weights")
    stranger = quantized.model_copy(update={"verdict": quantized.verdict.model_copy(update={"axes": (other,)})})
    with pytest.raises(UsageError, match="no copy of"):
        render(card.model_copy(update={"candidates": (stranger,)}), "model-card")


@pytest.mark.parametrize("developer", ["", "Some Lab"])
def test_every_eval_ever_takes_the_export(scored_toy, schema_of_every_eval_ever, developer):
    """A file per candidate, each of which validates against the published schema; what is not finite is left out and named."""
    card = scored_toy[0]
    files = every_eval_ever_files(card, developer)
    assert len(files) == len(card.candidates) == 2
    for data, one in zip(files.values(), card.candidates, strict=True):
        record = json.loads(data)
        jsonschema.validate(record, schema_of_every_eval_ever)
        left = record["model_info"]["additional_details"]["left_out"].split()
        assert len(record["evaluation_results"]) + len(left) == len(one.evidence.checks)
        assert record["model_info"].get("developer", "") == developer
        assert record["model_info"]["id"].startswith(developer)


def test_several_candidates_are_no_single_record(scored_toy, schema_of_every_eval_ever):
    """A list is not what the schema takes: refused, with what to give instead; a single candidate is one record."""
    card = scored_toy[0]
    with pytest.raises(UsageError, match="2 candidates") as caught:
        render(card, "every-eval-ever")
    assert "-o FOLDER" in caught.value.fix
    jsonschema.validate(json.loads(render(alone(card, 0), "every-eval-ever")), schema_of_every_eval_ever)


def test_files_of_candidates_with_the_same_or_a_hostile_name_do_not_collide(scored_toy):
    """Names of files come from labels, and stay within their folder."""
    card = scored_toy[0]
    named = [one.model_copy(update={"evidence": one.evidence.model_copy(update={"label": label})})
             for one, label in zip(card.candidates, ("../a/b", "a b/../"), strict=True)]  # fmt: skip
    same = [one.model_copy(update={"evidence": named[0].evidence}) for one in named]
    for candidates in (named, same):
        files = every_eval_ever_files(card.model_copy(update={"candidates": tuple(candidates)}))
        assert len(files) == 2
        assert not any("/" in name or name.startswith(".") for name in files)
