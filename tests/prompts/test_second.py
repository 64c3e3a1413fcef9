"""Second opinions: real minijinja and llama.cpp's real engine on the same requests, inside bounds."""

from __future__ import annotations

import pytest

from harness.config import Places
from harness.errors import MissingExtra
from harness.prompting import compare_templates
from harness.prompts.cases import load_cases
from harness.prompts.conversation import BY_THE_HOST, Conversation, Dialect
from harness.prompts.jinja.process import PromptProcess
from harness.targets import prompt_source
from harness.targets.endpoint.address import parse_address
from harness.targets.endpoint.client import Client
from harness.targets.endpoint.engines import recognise
from harness.targets.endpoint.served import ServedPrompts
from harness.targets.prompt_source import open_prompt_source
from tests.support.templates import EVERYTHING

MINIJINJA = Dialect(runtime="minijinja")
PLAIN = Conversation(messages=({"role": "user", "content": "Hi"},))


@pytest.fixture(scope="module")
def process():
    with PromptProcess(seconds=1.0) as running:
        yield running


def render(process, template):
    (found,) = process.render(template, [PLAIN], {"bos_token": "<s>"}, MINIJINJA)
    return found


def test_a_plain_template_renders_the_same(smollm):
    """SmolLM2's own: no difference between the runtimes on any case."""
    card = compare_templates(str(smollm), f"minijinja:{smollm}", Places.default().cache)
    assert card.verdict.outcome == "WITHIN"
    assert card.findings == ()
    assert "minijinja" in card.evidence.candidate.name


def test_what_minijinja_does_to_json_is_named(tmp_path):
    """Its JSON is escaped as for HTML, and that reproduces every prompt of a template that has everything."""
    file = tmp_path / "everything.jinja"
    file.write_text(EVERYTHING)
    card = compare_templates(str(file), f"minijinja:{file}", Places.default().cache)
    assert card.verdict.outcome == "BEYOND"
    assert card.evidence.diagnosis.named == (("tools-html-escaped",),)


def test_llamacpps_engine_renders_as_a_running_server_does(smollm, llamacpp):
    """On every conversation that the server does not finish by rules of its own."""
    source = open_prompt_source(str(smollm), Places.default().cache)
    asked = [c for case in load_cases() for c in case.conversations]
    with Client(parse_address(llamacpp)) as client:
        shown = ServedPrompts(recognise(client)).prompts(asked)
    with PromptProcess(seconds=60.0) as process:
        rendered = process.render(source.template, asked, source.variables, Dialect(runtime="llamacpp"))
    pairs = [(a.text, b) for a, b in zip(shown, rendered, strict=True) if a.text is not None]
    begun = [one for text, one in pairs if one.outcome != "text"]
    assert all(one.problem.startswith(BY_THE_HOST) for one in begun)
    assert len(pairs) - len(begun) >= 60
    assert all(text == one.text for text, one in pairs if one.outcome == "text")


@pytest.mark.slow
def test_llamacpps_habits_are_told_and_not_held_against_a_template(smollm, tmp_path):
    """SmolLM2's template, and one that has everything: nothing but documented deviations."""
    file = tmp_path / "everything.jinja"
    file.write_text(EVERYTHING)
    for reference in (smollm, file):
        card = compare_templates(str(reference), f"llamacpp:{reference}", Places.default().cache)
        assert card.verdict.outcome == "WITHIN"
        assert "llama.cpp b" in card.evidence.candidate.name
    other = tmp_path / "other.jinja"
    other.write_text(EVERYTHING.replace("<|start|>", "<|begin|>"))
    assert compare_templates(str(file), f"llamacpp:{other}", Places.default().cache).verdict.outcome == "BEYOND"


def test_llamacpps_engine_is_bounded_too(process):
    """Loops and texts without end stop by fuel and memory of its own; the next template has the usual limits."""
    dialect = Dialect(runtime="llamacpp")
    for endless in (
        "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
        "{% set ns = namespace(t='aaaaaaaaaa') %}{% for a in range(60) %}{% set ns.t = ns.t + ns.t %}{% endfor %}{{ ns.t }}",
    ):
        (found,) = process.render(endless, [PLAIN], {}, dialect)
        assert found.outcome in {"unbounded", "failed"}
    (refused,) = process.render("{{ raise_exception('no') }}", [PLAIN], {}, dialect)
    assert (refused.outcome, refused.problem) == ("refused", "no")
    (fine,) = process.render("{{ messages[0].content }}", [PLAIN], {})
    assert fine.text == "Hi"


def test_refusals_crashes_and_endless_templates_are_told_apart(process):
    """A template's own error, an unknown filter, a loop without end, a text without end."""
    assert render(process, "{{ raise_exception('no') }}").outcome == "refused"
    unknown = render(process, "{{ messages | never_heard_of }}")
    assert unknown.outcome == "failed"
    assert "never_heard_of" in unknown.problem
    endless = render(process, "{% for a in range(10000) %}{% for b in range(10000) %}{% endfor %}{% endfor %}")
    assert endless.outcome in {"unbounded", "failed"}
    assert "fuel" in endless.problem or endless.outcome == "unbounded"
    assert render(process, "{{ messages[0].content }}").text == "Hi"


@pytest.mark.parametrize("name", ["minijinja", "llamacpp"])
def test_without_the_package_the_extra_is_named(monkeypatch, tmp_path, name):
    """Both are optional."""

    def absent(package):
        raise prompt_source.metadata.PackageNotFoundError(package)

    file = tmp_path / "a.jinja"
    file.write_text("{{ messages[0].content }}")
    monkeypatch.setattr(prompt_source.metadata, "version", absent)
    monkeypatch.setattr(prompt_source.metadata, "distribution", absent)
    with pytest.raises(MissingExtra) as refused:
        prompt_source.open_prompt_source(f"{name}:{file}", tmp_path)
    assert f"fidelity-harness[{name}]" in refused.value.fix
