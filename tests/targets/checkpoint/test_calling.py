"""Tools offered to a real toy model: its own template renders them, forced calls are begun for it, and nothing is guessed."""

from __future__ import annotations

import shutil

import pytest

from harness.suites.requests import UNREADABLE, Calling
from harness.targets.checkpoint.answering import answer
from harness.targets.checkpoint.loading import load
from harness.targets.checkpoint.tokenization import load_tokenizer, render_tools
from harness.targets.spec import Runtime, parse_spec
from tests.support.call_templates import SHAPES

TOOLS = tuple(
    {
        "type": "function",
        "function": {"name": name, "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
    }
    for name in ("get_weather", "save_note")
)
USER = {"role": "user", "content": "Weather in Oslo?"}


def built(toy, folder, template):
    """The toy model with a template of our own, loaded."""
    shutil.copytree(toy, folder)
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    spec = parse_spec(str(folder), Runtime(dtype="fp32", threads=1))
    return load(spec), load_tokenizer(spec)


@pytest.fixture(scope="module")
def model(toy, tmp_path_factory):
    return built(toy, tmp_path_factory.mktemp("tools") / "model", SHAPES["object in tags"])


def ask(model, *asked):
    return answer(*model, list(asked), 4, 0, shared=True)


def calling(key="a", messages=(USER,), **changes):
    return Calling(**({"key": key, "messages": messages, "tools": TOOLS, "limit": 8} | changes))


def test_a_forced_call_is_begun_for_the_model(model):
    """By name: the call is of that tool, whatever follows; what the model writes is read as it is."""
    named, auto = ask(model, calling("a", choice="save_note"), calling("b"))
    assert [call.name for call in named.calls] == ["save_note"]
    assert named.source == auto.source == "text"
    assert (auto.lost, named.lost) == ("", "")
    assert auto.finish in {"stop", "length", "tool_calls"}


def test_a_conversation_that_does_not_fit_is_lost_and_not_shortened(model):
    """A part of a list of tools is another request."""
    long = {"role": "user", "content": "x" * 3000}
    found, other = ask(model, calling("a", messages=(long,)), calling("b"))
    assert "does not fit" in found.lost
    assert other.lost == ""


def test_a_conversation_that_the_template_refuses_is_lost_alone(toy, tmp_path):
    """With the template's own words."""
    model = built(toy, tmp_path / "one", SHAPES["bare object, one only"])
    call = {"id": "calla0001", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'}}
    both = {"role": "assistant", "content": "", "tool_calls": [call, call | {"id": "calla0002"}]}
    found, other = ask(model, calling("a", messages=(USER, both)), calling("b"))
    assert "one call only" in found.lost
    assert other.lost == ""


def test_a_template_that_shows_no_calls_is_not_read(toy, tmp_path):
    """Not as one that never calls."""
    model = built(toy, tmp_path / "none", "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}")
    assert ask(model, calling())[0].lost.startswith(UNREADABLE)


def test_templates_that_put_arguments_together_as_texts_are_read_too(toy, tmp_path):
    """They are given texts."""
    shape = SHAPES["name in the tag"].replace("{{ c.function.arguments | tojson }}", "{{ '' + c.function.arguments }}")
    assert ask(built(toy, tmp_path / "text", shape), calling())[0].lost == ""


def test_arguments_are_handed_over_as_objects(model):
    """As engines do: a template writes them as JSON once, not twice."""
    call = {"id": "c", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Zürich"}'}}
    turns = (USER, {"role": "assistant", "content": "", "tool_calls": [call]})
    assert '"arguments": {"city": "Zürich"}' in render_tools(model[1], turns, TOOLS, open_reply=False, as_text=False)
