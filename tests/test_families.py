"""The main verb on tiny checkpoints of model families that people publish: nothing is refused, and every verdict is right."""

from __future__ import annotations

import shutil

import pytest

from harness.observations.events import Noticed
from harness.verdicts.model import Cause, Outcome
from tests.support.families import make_family
from tests.support.toy import make_suite

#: Of each kind one: mixtures in every layout of experts, hybrids, releases that also see, heads and bodies of other shapes.
SAMPLE = (
    "minimax_m2", "mixtral", "deepseek_v3", "gpt_oss", "qwen3_next", "granitemoe", "nemotron_h", "gpt2", "gemma2",
    "qwen2_5_vl", "gemma3", "llama4",
)  # fmt: skip


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    """Sixteen documents, all with a band: experts that are chosen otherwise make few tokens weigh much."""
    return make_suite(tmp_path_factory.mktemp("suite") / "sixteen", documents=16, chats=1, asks=1, length=100, band=18)


@pytest.mark.parametrize("family", SAMPLE)
def test_a_family_is_judged_right(family, runner, suite, tmp_path):
    """Itself and bf16 within, 4 bits sold as bf16 beyond and under their own name within, other weights another model."""
    reference = make_family(tmp_path / "reference", family)
    copy = shutil.copytree(reference, tmp_path / "copy")
    other = make_family(tmp_path / "other", family, seed=1)
    card = runner(
        reference, (str(copy), ""), (f"dtype:bf16:{reference}", ""), (f"rtn:4g32:{reference}", "bf16"),
        (f"rtn:4g32:{reference}", ""), (str(other), ""), suite=str(suite), ladder=(8, 4),
    )  # fmt: skip
    assert not [event for event in runner.events if isinstance(event, Noticed) and "left out" in event.text]
    itself, narrow, sold, named, foreign = card.candidates
    assert itself.evidence.all_zero
    assert [one.verdict.outcome for one in (itself, narrow, named)] == [Outcome.WITHIN] * 3
    assert (sold.verdict.outcome, sold.verdict.cause) == (Outcome.BEYOND, Cause.QUANTIZATION)
    assert (foreign.verdict.outcome, foreign.verdict.cause) == (Outcome.BEYOND, Cause.OTHER_MODEL)
