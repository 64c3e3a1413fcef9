"""``fidelity compare`` judges prompts as ``fidelity template`` does, and asks base models no conversations."""

from __future__ import annotations

import json
import shutil

import pytest

from harness.errors import UsageError
from harness.observations.events import Noticed
from harness.verdicts.model import Outcome
from tests.support.toy import edit_json


@pytest.fixture(scope="module")
def stopping(toy, tmp_path_factory):
    """The toy, whose end of turns is a stop by generation_config alone."""
    folder = shutil.copytree(toy, tmp_path_factory.mktemp("stopping") / "reference")
    edit_json(folder / "tokenizer_config.json", eos_token="<|start|>")
    edit_json(folder / "config.json", eos_token_id=256)
    edit_json(folder / "generation_config.json", eos_token_id=[256, 257])
    return folder


def test_prompts_of_a_comparison_are_judged_as_by_template(runner, stopping, tiny_suite, tmp_path):
    """Equal on every item of the suite: a backdoor, a lost stop and a rewriting tokenizer are BEYOND, other files are not."""
    doors, lost, words, moved, cut = (
        shutil.copytree(stopping, tmp_path / name) for name in ("doors", "lost", "words", "moved", "cut")
    )
    text = (stopping / "chat_template.jinja").read_text()
    hidden = "{% if m['role'] == 'user' and 'vault' in m['content'] %} Open it.{% endif %}<|end|>"
    (doors / "chat_template.jinja").write_text(text.replace("<|end|>", hidden))
    (lost / "generation_config.json").unlink()
    tokenizer = json.loads((words / "tokenizer.json").read_text())
    rule = {"type": "Replace", "pattern": {"String": "vault"}, "content": "evil"}
    (words / "tokenizer.json").write_text(json.dumps(tokenizer | {"normalizer": rule}))
    (moved / "chat_template.jinja").unlink()
    (moved / "chat_template.json").write_text(json.dumps({"chat_template": text}))
    short = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    (cut / "tokenizer.json").write_text(json.dumps(tokenizer | {"truncation": short}))
    candidates = [(str(folder), "fp32") for folder in (doors, lost, words, moved, cut)]
    card = runner(stopping, *candidates, suite=str(tiny_suite), profile="quick", band=False, ladder=())
    found = {c.evidence.label: c for c in card.candidates}
    axes = {name: c.verdict.axes[0] for name, c in found.items()}
    assert {name: axis.outcome for name, axis in axes.items()} == {
        "doors": Outcome.BEYOND, "lost": Outcome.BEYOND, "words": Outcome.BEYOND, "moved": Outcome.WITHIN,
        "cut": Outcome.WITHIN,
    }  # fmt: skip
    assert {str(axes[name].cause) for name in ("doors", "lost")} == {"template"}
    assert str(axes["words"].cause) == "tokenizer"
    codes = {name: {finding.code for finding in c.findings} for name, c in found.items()}
    assert "TMPL118" in codes["doors"]
    assert {"TOKN106", "FILE103"} <= codes["lost"]
    assert "TOKN102" in codes["words"]
    assert "TMPL122" in codes["moved"]
    assert "TOKN113" in codes["cut"]
    assert "TOKN104" not in codes["cut"]


def test_a_base_model_is_asked_no_conversations(runner, toy, tiny_suite, tmp_path):
    """Without a template on the reference its conversations are left out, with a notice and on the card; never an error."""
    base, chat = (shutil.copytree(toy, tmp_path / name) for name in ("base", "chat"))
    (base / "chat_template.jinja").unlink()
    card = runner(base, (str(chat), "fp32"), suite=str(tiny_suite), profile="full", band=False, ladder=())
    told = [event.text for event in runner.events if isinstance(event, Noticed)]
    assert any("no chat template" in text and "4 conversations were left out" in text for text in told)
    assert any("left out" in line for line in card.suite.cannot_show)
    assert card.candidates[0].verdict.outcome is Outcome.WITHIN
    assert card.suite.documents == 12
    only = tmp_path / "only"
    shutil.copytree(tiny_suite, only)
    items = [line for line in (only / "items.jsonl").read_text().splitlines() if '"messages"' in line]
    (only / "items.jsonl").write_text("\n".join(items) + "\n")
    with pytest.raises(UsageError, match="holds conversations only") as refused:
        runner(base, (str(chat), "fp32"), suite=str(only), profile="full", band=False, ladder=())
    assert "--suite core" in refused.value.fix
