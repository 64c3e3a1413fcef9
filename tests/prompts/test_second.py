"""The second opinion: real minijinja on the same requests, inside the same bounds."""

from __future__ import annotations

import pytest

from harness.config import Places
from harness.errors import MissingExtra
from harness.prompting import compare_templates
from harness.prompts.conversation import Conversation, Dialect
from harness.prompts.jinja.process import PromptProcess
from harness.targets import prompt_source
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


def test_without_the_package_the_extra_is_named(monkeypatch, tmp_path):
    """minijinja is optional."""

    def absent(name):
        raise prompt_source.metadata.PackageNotFoundError(name)

    file = tmp_path / "a.jinja"
    file.write_text("{{ messages[0].content }}")
    monkeypatch.setattr(prompt_source.metadata, "version", absent)
    with pytest.raises(MissingExtra) as refused:
        prompt_source.open_prompt_source(f"minijinja:{file}", tmp_path)
    assert "fidelity-harness[minijinja]" in refused.value.fix
