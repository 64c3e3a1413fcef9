"""The main job on a real 135M chat model, in small: few texts, an honest copy, one by bitsandbytes. More: test_known_answers."""

from __future__ import annotations

import os

import pytest

from harness.config import Places
from harness.observations.events import Found, Noticed, Stop, TargetStarted
from harness.pipeline import Candidate, Request, compare
from harness.suites.model import Profile
from harness.targets.spec import Runtime
from harness.verdicts.model import Cause, Outcome
from tests.support.toy import cut_core, make_toy


@pytest.fixture(scope="module")
def run(smollm, tmp_path_factory):
    """The events and the scorecard of one run."""
    root = tmp_path_factory.mktemp("short")
    request = Request(
        reference=str(smollm),
        candidates=(
            Candidate(f"dtype:bf16:{smollm}", "bf16"),
            Candidate(f"bnb:nf4:{smollm}", "bf16"),
            Candidate(f"bnb:nf4:{smollm}", "nf4"),
        ),
        suite=str(cut_core(root / "suite", documents=6, letters=120)),
        profile="short",
        part=Profile(documents=6, prompts=1, band_documents=3),
        runtime=Runtime(threads=int(os.environ.get("OMP_NUM_THREADS", "0"))),
        ladder=(),
    )
    events, steps = [], compare(request, Places(root / "results", Places.default().cache), Stop())
    while True:
        try:
            events.append(next(steps))
        except StopIteration as end:
            return events, end.value


def test_an_honest_copy_is_within_and_a_quantized_one_is_beyond_unless_it_says_so(run):
    """The same 4-bit weights are WITHIN as nf4 and BEYOND as bf16, with the cause."""
    _, card = run
    found = [(one.verdict.outcome, one.verdict.cause) for one in card.candidates]
    assert found == [(Outcome.WITHIN, None), (Outcome.BEYOND, Cause.QUANTIZATION), (Outcome.WITHIN, None)]
    assert card.suite.profile == "short"


def test_first_facts_come_before_anything_is_scored_and_are_no_verdicts(run):
    """Counts of weights as soon as they were read, a mean divergence after the first documents."""
    events, _ = run
    first = next(place for place, event in enumerate(events) if isinstance(event, Found))
    assert first < next(place for place, event in enumerate(events) if isinstance(event, TargetStarted))
    said = [(event.label, event.text) for event in events if isinstance(event, Found)]
    assert [label for label, _ in said] == ["dtype:bf16", "dtype:bf16", "bnb:nf4", "bnb:nf4"]
    assert said[0][1] == "of 272 weight tensors 61 are the reference's, 211 are its own in another number format"
    assert "210 of them on a coarse grid" in said[2][1]
    assert all("nat per token from the reference, on its first 3 documents" in said[place][1] for place in (1, 3))
    assert not [text for _, text in said if "WITHIN" in text or "BEYOND" in text]


def test_what_cannot_be_built_is_left_out_and_ends_no_run(runner, tmp_path, tiny_suite):
    """Rows of 48 hold no whole block of llama.cpp's: that claim is not testable, and the other candidate is judged."""
    odd = {"hidden_size": 48, "intermediate_size": 80, "num_attention_heads": 3, "num_key_value_heads": 3}
    reference = make_toy(tmp_path / "odd", **odd)
    narrow = f"dtype:bf16:{reference}"
    card = runner(reference, (narrow, "gguf:Q4_0"), (narrow, "bf16"), suite=str(tiny_suite), ladder=(8,))
    claimed, plain = card.candidates
    assert (claimed.verdict.outcome, plain.verdict.outcome) == (Outcome.NOT_TESTABLE, Outcome.WITHIN)
    assert "could not be rebuilt" in claimed.verdict.sentence
    assert [note for note in card.left_out if note.startswith("claim gguf:Q4_0: ggufq:Q4_0 would leave")]
    assert [event for event in runner.events if isinstance(event, Noticed) and "is left out" in event.text]


def test_rows_beyond_the_tokenizer_that_carry_mass_end_in_a_verdict(runner, tmp_path, tiny_suite):
    """An embedding with as many rows again as the tokenizer has words: none of them is sampled, and their mass is told."""
    reference = make_toy(tmp_path / "padded", vocabulary=516)
    card = runner(reference, (f"rtn:3:{reference}", "bf16"), suite=str(tiny_suite), ladder=())
    (found,) = card.candidates
    assert (found.verdict.outcome, found.verdict.cause) == (Outcome.BEYOND, Cause.QUANTIZATION)
    assert "DIST306" in {finding.code for finding in found.findings}
