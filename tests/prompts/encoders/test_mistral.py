"""Models without a template: mistral-common makes the prompts, faults are named in them, refusals stay refusals."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import mistral_common
import pytest

from harness.config import Places
from harness.errors import FidelityError, MissingExtra
from harness.prompting import compare_templates
from harness.prompting.evidence import family_of, pair_prompts
from harness.prompts import encoders
from harness.prompts.cases import load_cases
from harness.prompts.faults import fault
from harness.prompts.jinja.process import PromptProcess
from harness.prompts.variants import Bench
from harness.targets.prompt_source import open_prompt_source

REAL = Path(mistral_common.__file__).parent / "data" / "tekken_240911.json"

#: The same format as a template of our own, for plain conversations.
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST]{{ m.content }}[/INST]"
    "{% elif m.role == 'assistant' %}{{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"
)


@pytest.fixture(scope="module")
def source():
    return open_prompt_source(str(REAL), Places.default().cache)


@pytest.fixture(scope="module")
def bench(source):
    with PromptProcess() as process:
        yield Bench(process, family_of(source), source.tokenizer)


class Faulty:
    """The same encoder behind an engine that does one thing wrong."""

    def __init__(self, bench, name):
        self.bench, self.fault = bench, fault(name)

    def prompts(self, conversations):
        return self.bench.prompts(conversations, [self.fault])

    def form(self, conversation, *, hostile):
        return None


def test_a_tekken_file_makes_prompts_by_mistral_common(source, bench):
    """Most cases apply; what the format has no place for is refused; nothing differs from itself."""
    card = compare_templates(str(REAL), str(REAL), Places.default().cache)
    assert card.verdict.outcome == "WITHIN"
    assert card.findings == ()
    assert card.evidence.count("identical") >= 50
    refused = [pair for pair in card.evidence.pairs if pair.reference is None]
    assert all(pair.reference_problem.startswith("refused") for pair in refused)
    assert source.kind == "encoder"
    assert len(source.template_digest) == 64
    assert bench.family.turn_end == "</s>"


@pytest.mark.parametrize(
    "name", ["contents-stripped", "tools-dropped", "system-dropped", "missing-bos", "text-composed"]
)
def test_faults_are_named_in_an_encoders_prompts(bench, name):
    """Changes of the request and of the text, on prompts that no template made."""
    paired = pair_prompts(bench, Faulty(bench, name), load_cases(own_control="[INST]"))
    assert (name,) in paired.diagnosis.named


def test_users_words_never_become_control_tokens(bench):
    """mistral-common keeps them plain; an engine that tokenises the rendered text parses them, and that shows in the ids."""
    (case,) = [case for case in load_cases(own_control="[INST]") if case.id == "control-words"]
    for prompt in bench.prompts(case.conversations):
        if prompt.text and prompt.text.count("[INST]") > 1:
            assert prompt.ids.count(3) < prompt.text.count("[INST]")
            break
    else:
        pytest.fail("the case holds no control word of the family")


def test_a_bare_template_is_held_against_the_encoder(tmp_path):
    """A community template for a model that ships none: right on plain turns, it loses tools and system prompts."""
    file = tmp_path / "community.jinja"
    file.write_text(TEMPLATE)
    card = compare_templates(str(REAL), str(file), Places.default().cache)
    assert (card.verdict.outcome, card.verdict.cause) == ("BEYOND", "template")
    plain = next(pair for pair in card.evidence.pairs if pair.case == "minimal")
    assert plain.status == "identical"


def test_a_folder_without_a_template_is_read_by_its_tekken_file(tmp_path):
    """As the vendor ships it."""
    shutil.copy(REAL, tmp_path / "tekken.json")
    (tmp_path / "config.json").write_text(json.dumps({"eos_token_id": 2}))
    found = open_prompt_source(str(tmp_path), Places.default().cache)
    assert (found.kind, found.encoder, found.stop_ids) == ("encoder", "mistral", (2,))


def test_a_missing_package_and_a_broken_file_are_refused_with_a_way_out(monkeypatch, tmp_path):
    """The extra is named; a vocabulary that is none is broken."""
    broken = tmp_path / "tekken.json"
    broken.write_text(json.dumps({"config": {"default_num_special_tokens": 9, "default_vocab_size": 3}, "vocab": []}))
    with pytest.raises(FidelityError, match="tekken"):
        open_prompt_source(str(broken), tmp_path / "cache")
    monkeypatch.setitem(encoders._PACKAGES, "mistral", "no-such-package")
    with pytest.raises(MissingExtra) as refused:
        open_prompt_source(str(broken), tmp_path / "cache")
    assert "fidelity-harness[mistral]" in refused.value.fix


def test_other_encoders_come_in_by_an_entry_point(monkeypatch):
    """The hook: a name, a function of a path, a function of a conversation."""

    class Entry:
        dist, name = None, "mine"

        def load(self):
            return lambda path: lambda conversation: (path, [len(conversation.messages)])

    monkeypatch.setattr(
        encoders.metadata, "entry_points", lambda **wanted: [Entry()] if wanted.get("name", "mine") == "mine" else []
    )
    encode = encoders.load_encoder("mine", "file")
    assert encode(load_cases()[0].conversations[0]) == ("file", [1])
    with pytest.raises(FidelityError, match="no encoder") as refused:
        encoders.load_encoder("other", "file")
    assert "mine" in refused.value.fix
    with pytest.raises(FidelityError) as refused:
        open_prompt_source("encoder:mine:nowhere", Places.default().cache)
    assert refused.value.fix
