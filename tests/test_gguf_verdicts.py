"""GGUF files as candidates and as references: what is right about each is known beforehand."""

from __future__ import annotations

import json

import pytest

from harness.config import Places
from harness.observations.events import Noticed
from harness.verdicts.model import Cause, Outcome
from tests.support.gemma import gemma_gguf, gemma_reference
from tests.support.gguf_files import write_gguf


def outcomes(card):
    return {
        (one.evidence.label, one.evidence.claim): (one.verdict.outcome, one.verdict.cause) for one in card.candidates
    }


def codes(card):
    return {finding.code for finding in card.findings}


def test_a_file_is_judged_by_its_tensors_and_by_its_rotation(runner, toy, tiny_suite, tmp_path):
    """Q4_0 is WITHIN its own claim, a lie in the header is a finding, a lost base is named, Q4_0 is no Q8_0."""
    for name, options in {
        "own": {"kind": "Q4_0", "file_type": 2},
        "lying": {"kind": "Q4_0", "file_type": 7},
        "turned": {"kind": "F16", "fields": {"rope.freq_base": 50.0}},
    }.items():
        write_gguf(toy, tmp_path / f"{name}.gguf", **options)
    files = {name: f"gguf:{tmp_path / name}.gguf" for name in ("own", "lying", "turned")}
    card = runner(
        toy, (files["own"], ""), (files["lying"], ""), (files["turned"], ""), (files["own"], "gguf:Q8_0"),
        suite=str(tiny_suite), ladder=(),
    )  # fmt: skip
    assert outcomes(card) == {
        ("own.gguf", "gguf:Q4_0"): (Outcome.WITHIN, None),
        ("lying.gguf", "gguf:Q4_0"): (Outcome.WITHIN, None),
        ("turned.gguf", "fp16"): (Outcome.BEYOND, Cause.NUMERICS),
        ("own.gguf", "gguf:Q8_0"): (Outcome.BEYOND, Cause.QUANTIZATION),
    }
    assert ["FILE114" in codes(one) for one in card.candidates] == [False, True, False, False]
    turned = next(one for one in card.candidates if one.evidence.label == "turned.gguf")
    assert any(finding.code == "FILE101" and "rope" in finding.detail for finding in turned.findings)


def test_a_quantized_file_can_be_the_reference(runner, toy, tiny_suite, tmp_path):
    """It is said that it is quantized itself; its own copy is WITHIN, a coarser one is not, and rungs are built from it."""
    reference = write_gguf(toy, tmp_path / "reference.gguf", "Q8_0", file_type=7)
    copy = tmp_path / "copy.gguf"
    copy.write_bytes(reference.read_bytes())
    card = runner(
        f"gguf:{reference}", (f"gguf:{copy}", ""), (f"rtn:3:{reference}", "fp32"), suite=str(tiny_suite), ladder=(4,)
    )
    found = [one.verdict.outcome for one in card.candidates]
    assert found == [Outcome.WITHIN, Outcome.BEYOND]
    assert all("FILE116" in codes(one) for one in card.candidates)
    assert any("itself quantized (gguf:Q8_0)" in str(event) for event in runner.events if isinstance(event, Noticed))


@pytest.mark.slow
def test_gemma_without_a_template(runner, tmp_path):
    """A real model of 262,144 ids with a sliding window: bf16 and its own file are WITHIN, four bits are quantization."""
    cache = Places.default().cache
    reference, file = gemma_reference(cache), gemma_gguf(cache)
    suite = tmp_path / "texts"
    suite.mkdir()
    (suite / "suite.yaml").write_text(
        "name: texts\nversion: 1\ntitle: Texts\nlicence: Apache-2.0\npurpose: tests\nshows: [texts]\n"
        "cannot_show: [chats]\nskip_tokens: 8\nprofiles: {full: {band_documents: 8}}\n"
    )
    from harness.suites import load_suite

    texts = [item for item in load_suite("core").items if item.text][:8]
    (suite / "items.jsonl").write_text(
        "".join(
            json.dumps({"id": item.id, "domain": item.domain, "text": (item.text or "")[:400]}) + "\n" for item in texts
        )
    )
    card = runner(
        reference, (f"dtype:bf16:{reference}", "bf16"), (f"rtn:4:{reference}", "bf16"), (f"gguf:{file}", ""),
        suite=str(suite), ladder=(),
    )  # fmt: skip
    found = [(one.verdict.outcome, one.verdict.cause) for one in card.candidates]
    assert found == [(Outcome.WITHIN, None), (Outcome.BEYOND, Cause.QUANTIZATION), (Outcome.WITHIN, None)]
