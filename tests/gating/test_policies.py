"""From the command line's words to one policy."""

from __future__ import annotations

import numpy as np
import pytest

from harness.comparisons.baselines import write_baseline
from harness.errors import BaselineMismatch, TargetNotFound, UsageError
from harness.gating.policies import resolve
from tests.support.baselines import baseline_of
from tests.support.tables import drawn, table_of


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "b.json").write_text(write_baseline(baseline_of(table_of(drawn(np.random.default_rng(1), 4)))))
    (tmp_path / "weekly.yaml").write_text("version: 1\npreset: 4bit\nbaseline: b.json\ngates: ['ear>=baseline-1%']\n")
    return tmp_path


def test_nothing_given_is_no_policy():
    """Then the band judges, as always."""
    assert resolve(()) is None


def test_a_file_a_preset_and_expressions_make_one_policy(folder):
    """The file's baseline is found beside the file; its name is the policy's."""
    found = resolve((str(folder / "weekly.yaml"), "lossless", "js<=0.1"))
    assert [gate.text for gate in found.policy.gates] == [
        "bits>=3.6", "ear>=baseline-1%", "kl_ref_cand<=2x band", "js<=0.1",
    ]  # fmt: skip
    assert found.policy.name == "weekly"
    assert found.baseline.label == "last week"


def test_a_baseline_alone_means_no_worse(folder):
    """The default gate is declared in one place."""
    found = resolve((), folder / "b.json")
    assert [gate.text for gate in found.policy.gates] == ["kl_ref_cand<=1.1x baseline"]


def test_a_baseline_that_is_named_is_never_ignored(folder):
    """Other gates beside it do not switch the regression test off."""
    found = resolve(("4bit", "js<=0.1"), folder / "b.json")
    assert [gate.text for gate in found.policy.gates] == ["bits>=3.6", "js<=0.1", "kl_ref_cand<=1.1x baseline"]


@pytest.mark.parametrize(
    ("gates", "error", "said"),
    [
        (("kl_ref_cand<=1.1x baseline",), UsageError, "--baseline"),
        (("missing.yaml",), TargetNotFound, "cannot be read"),
        (("weekly.yaml", "weekly.yaml"), UsageError, "one policy file"),
        (("empty.yaml",), UsageError, "no gate"),
        (("huge.yaml",), UsageError, "larger"),
        (("binary.yaml",), UsageError, "UTF-8"),
        (("lost.yaml",), TargetNotFound, "baseline save"),
        (("broken.yaml",), BaselineMismatch, "no baseline"),
        (("4bits",), UsageError, "no gate"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_way_out(folder, monkeypatch, gates, error, said):
    """Missing, huge, binary and empty files, and a baseline that is not there."""
    monkeypatch.chdir(folder)
    (folder / "empty.yaml").write_text("version: 1\n")
    (folder / "huge.yaml").write_text("#" * 100_000)
    (folder / "binary.yaml").write_bytes(b"\xff\xfe")
    (folder / "lost.yaml").write_text("version: 1\nbaseline: gone.json\n")
    (folder / "broken.yaml").write_text("version: 1\nbaseline: weekly.yaml\n")
    with pytest.raises(error) as caught:
        resolve(gates)
    assert said in str(caught.value)
