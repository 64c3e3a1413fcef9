"""The fault library and the diagnosis: every fault acts, is seen by the suite, and is named from its effect alone."""

from __future__ import annotations

import pytest

from harness.prompts.cases import load_cases
from harness.prompts.conversation import Conversation
from harness.prompts.diagnosis import diagnose
from harness.prompts.faults import LIBRARY, Family, fault
from harness.prompts.jinja.process import PromptProcess
from harness.prompts.probes import choose_probes
from harness.prompts.variants import Bench, read_family
from harness.targets.prompt_source import open_prompt_source
from tests.support.templates import EVERYTHING


@pytest.fixture(scope="module")
def process():
    with PromptProcess() as running:
        yield running


@pytest.fixture(scope="module")
def bench(process):
    return Bench(process, Family(EVERYTHING, {"bos_token": "<s>"}, bos="<s>"))


CONVERSATIONS = [c for case in load_cases(own_control="<|start|>") for c in case.conversations]


def texts(bench, *names):
    return [prompt.text for prompt in bench.prompts(CONVERSATIONS, [fault(name) for name in names])]


def test_a_family_is_read_from_a_rendering(process):
    """How an assistant's turn ends, and the header of the reply."""
    family = read_family(process, Family(EVERYTHING, {"bos_token": "<s>"}, bos="<s>"))
    assert family.turn_end == "<|end|>"
    assert family.opening == "<|start|>assistant\n"


def test_the_suite_and_the_library_know_each_other():
    """44 cases; every fault that a case names is in the library, and every fault is named by a case or needs none."""
    cases = load_cases()
    assert len(cases) == 44
    named = {name for case in cases for name in case.reveals}
    library = {entry.name for entry in LIBRARY}
    assert len(library) == len(LIBRARY) >= 32
    assert named <= library
    assert library - named <= {
        "blocks-untrimmed", "leading-space", "tools-descriptions-dropped", "tools-minijinja", "options-lost", "marks-stripped",
    }  # fmt: skip


@pytest.mark.parametrize("entry", [f for f in LIBRARY if f.controls == "parsed" and f.normalized], ids=lambda f: f.name)
def test_every_fault_changes_the_prompt_of_a_case_made_for_it(bench, entry):
    """On a template that has everything, each fault moves some rendering; where cases name it, one of theirs."""
    cases = [case for case in load_cases(own_control="<|start|>") if entry.name in case.reveals]
    asked = [c for case in cases for c in case.conversations] or CONVERSATIONS
    sound = [prompt.text for prompt in bench.prompts(asked)]
    faulty = [prompt.text for prompt in bench.prompts(asked, [entry])]
    assert sound != faulty


@pytest.mark.parametrize("entry", [f for f in LIBRARY if f.controls == "parsed" and f.normalized], ids=lambda f: f.name)
def test_every_fault_is_named_from_the_texts_alone(bench, entry):
    """The library reproduces the observation exactly: the fault is among the names, and ties are small."""
    observed = texts(bench, entry.name)
    found = diagnose(bench, CONVERSATIONS, observed, lambda prompt: prompt.text)
    assert found.differing
    assert (entry.name,) in found.named
    assert len(found.named) <= 3


def test_sound_prompts_have_no_finding(bench):
    """The reference against itself."""
    found = diagnose(bench, CONVERSATIONS, texts(bench), lambda prompt: prompt.text)
    assert (found.differing, found.named) == ((), ())


def test_two_faults_at_once_are_named_as_a_pair(bench):
    """No single fault explains it; the pair does, in either order."""
    observed = texts(bench, "no-generation-prompt", "tools-compact")
    found = diagnose(bench, CONVERSATIONS, observed, lambda prompt: prompt.text)
    assert {frozenset(names) for names in found.named} == {frozenset({"no-generation-prompt", "tools-compact"})}


def test_what_the_library_does_not_know_stays_unclassified(bench):
    """An observation that no fault reproduces gets no name, only the closest and how much of it that explains."""
    observed = [None if text is None else text.replace("Today", "Heute") for text in texts(bench)]
    found = diagnose(bench, CONVERSATIONS, observed, lambda prompt: prompt.text)
    assert found.differing
    assert found.named == ()
    assert found.explained < found.compared


def test_a_prefill_is_left_open():
    """The case for continued messages asks for no new turn."""
    (case,) = [case for case in load_cases() if case.id == "prefill"]
    assert all(c.continue_final and not c.generation for c in case.conversations)
    assert all(isinstance(c, Conversation) for c in case.conversations)


@pytest.fixture(scope="module")
def real(process, smollm):
    """SmolLM2's own template and tokenizer."""
    source = open_prompt_source(str(smollm), smollm.parent)
    bos = str(source.variables["bos_token"])
    return Bench(process, Family(source.template, source.variables, bos=bos), source.tokenizer)


REAL = [c for case in load_cases(own_control="<|im_end|>") for c in case.conversations]


@pytest.mark.parametrize("name", ["controls-as-text", "text-decomposed", "turn-end-missing", "default-system"])
def test_faults_are_named_from_ids_on_the_real_model(real, name):
    """Real ids: also what is invisible in the text, such as control words read as letters."""
    observed = [prompt.ids for prompt in real.prompts(REAL, [fault(name)])]
    found = diagnose(real, REAL, observed, lambda prompt: prompt.ids)
    assert found.differing
    assert (name,) in found.named
    assert len(found.named) <= 3


@pytest.mark.parametrize("name", ["controls-as-text", "no-generation-prompt", "system-dropped", "hidden-system"])
def test_faults_are_named_from_numbers_of_tokens_alone(real, name):
    """What an endpoint bills is enough: the vector of counts names the fault, alone or in a tie of three."""
    observed = [prompt.count for prompt in real.prompts(REAL, [fault(name)])]
    found = diagnose(real, REAL, observed, lambda prompt: prompt.count)
    assert (name,) in found.named
    assert len(found.named) <= 3


def test_few_probes_separate_what_counts_can_separate(real):
    """On SmolLM2 at most 24 of the 67 conversations tell apart every two faults that any of them tells apart."""
    rendered = [c for c, prompt in zip(REAL, real.prompts(REAL), strict=True) if prompt.count is not None]
    sound = [prompt.count for prompt in real.prompts(rendered)]
    faulty = {f.name: [prompt.count for prompt in real.prompts(rendered, [f])] for f in LIBRARY}
    probes = choose_probes(sound, faulty, 31)
    assert len(probes) <= 24
    assert len({tuple(v[k] for k in probes) for v in faulty.values()}) == len({tuple(v) for v in faulty.values()})
