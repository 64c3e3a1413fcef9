"""Calls of tools are read back by the syntax that a template itself shows, whatever its family; what is no call stays text."""

from __future__ import annotations

import json
import time
from functools import cache

import jinja2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.prompts.calls.learning import learn_syntax
from harness.prompts.calls.literals import python_arguments
from harness.prompts.calls.reading import read_calls
from harness.prompts.calls.syntax import opened_call
from tests.support.call_templates import SHAPES
from tests.support.templates import EVERYTHING


def tool(name, **types):
    properties = {key: {"type": kind} for key, kind in types.items()}
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": properties}}}


TOOLS = [tool("get_weather", city="string", days="integer", when="object"), tool("ns.send-mail", to="string")]


def refuse(message):
    raise jinja2.TemplateError(message)


def renderer(text):
    """A template as a function of messages, as the isolated process has it."""
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = lambda value, **_: json.dumps(value, ensure_ascii=False)
    template = environment.from_string(text)

    def render(messages):
        try:
            return template.render(
                messages=messages, bos_token="", strftime_now=lambda _: "day", raise_exception=refuse
            )
        except jinja2.TemplateError as error:
            raise ValueError(str(error)) from error

    return render


def replied(render, calls, said=""):
    """What an assistant wrote that said something and called: the template's text without its frame."""
    asked = {"role": "user", "content": "Hm?"}
    told = [{"id": f"functions.{name}:{n}", "type": "function", "function": {"name": name, "arguments": given}}
            for n, (name, given) in enumerate(calls)]  # fmt: skip
    whole = render([asked, {"role": "assistant", "content": said, "tool_calls": told}])
    frame = render([asked, {"role": "assistant", "content": "Plain."}])
    head, tail = frame.split("Plain.")
    return whole.removeprefix(head).removesuffix(tail)


@pytest.mark.parametrize("shape", SHAPES)
def test_known_calls_come_back_as_they_were(shape):
    """Text, numbers, nested values and foreign letters; two calls where the template takes two."""
    render = renderer(SHAPES[shape])
    syntax = learn_syntax(render)
    assert not isinstance(syntax, str), syntax
    calls = [
        ("get_weather", {"city": 'Zürich "x" {a}', "days": 2, "when": {"from": [1, True], "to": "x"}}),
        ("ns.send-mail", {"to": "a@b"}),
    ]
    calls = calls[:1] if "one only" in shape else calls
    said, found = read_calls(replied(render, calls), syntax, TOOLS)
    assert [(call.name, json.loads(call.arguments)) for call in found] == calls
    assert said == ""


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if "bare" not in shape])
def test_what_is_said_before_a_call_is_text(shape):
    """And nothing of the call's marks is left in it."""
    render = renderer(SHAPES[shape])
    syntax = learn_syntax(render)
    said, found = read_calls(replied(render, [("get_weather", {"city": "Oslo"})], said="Let me see."), syntax, TOOLS)
    assert (said, len(found)) == ("Let me see.", 1)


def test_a_template_of_another_make_is_learned_too():
    """Its calls carry an id of their own."""
    syntax = learn_syntax(renderer(EVERYTHING))
    said, found = read_calls('On it. <call id=abc9>get_weather {"city": "Oslo"}</call>', syntax, TOOLS)
    assert (said, found[0].name, found[0].arguments) == ("On it.", "get_weather", '{"city": "Oslo"}')


@pytest.mark.parametrize("shape", SHAPES)
def test_a_text_without_calls_stays_a_text(shape):
    """Also one that speaks of tools and holds braces."""
    syntax = learn_syntax(renderer(SHAPES[shape]))
    text = "I would call get_weather(city) {but} I need no [tools] for this: 2 < 3 > 1."
    assert read_calls(text, syntax, TOOLS) == (text, ())


def test_arguments_that_are_no_json_stay_what_they_are():
    """A broken call is a call: whether it is valid is judged, not guessed."""
    syntax = learn_syntax(renderer(SHAPES["object in tags"]))
    said, found = read_calls(
        '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Os\n</tool_call> ok', syntax, TOOLS
    )
    assert (found[0].name, said) == ("get_weather", "ok")
    with pytest.raises(ValueError, match=r"\w"):
        json.loads(found[0].arguments)


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}", "does not show calls"),
        ("{% for m in messages %}{{ m.content }}{% if m.tool_calls %}{{ raise_exception(1) }}{% endif %}{% endfor %}", "refuses"),
        (SHAPES["name in the tag"].replace("| tojson", "| string"), "does not show|cannot be read back"),
    ],
)  # fmt: skip
def test_a_template_that_shows_no_calls_has_no_syntax(template, reason):
    """Nothing is learned that does not bring known calls back."""
    found = learn_syntax(renderer(template))
    assert isinstance(found, str)
    assert any(part in found for part in reason.split("|"))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_reply_that_has_to_call_begins_like_one(shape):
    """As engines begin it; the rest of a rendered call then makes it whole."""
    render = renderer(SHAPES[shape])
    syntax = learn_syntax(render)
    whole = replied(render, [("get_weather", {"city": "Oslo"})]).strip().replace("functions.get_weather:0", "call00001")
    if "id" not in shape:
        assert whole.startswith(opened_call(syntax, "get_weather").strip())
    assert "get_weather" in opened_call(syntax, "get_weather")


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(st.dictionaries(st.sampled_from(["city", "days", "note"]), JSONS, max_size=3), min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_any_json_comes_back(arguments):
    """Where arguments are JSON, no content can be mistaken for a mark."""
    for shape in ("object in tags", "objects in a list", "name in the tag", "fenced object"):
        render = renderer(SHAPES[shape])
        calls = [("get_weather", one) for one in arguments]
        _, found = read_calls(replied(render, calls), learn_syntax(render), TOOLS)
        assert [json.loads(call.arguments) for call in found] == arguments, shape


@cache
def every_syntax():
    return [learn_syntax(renderer(shape)) for shape in SHAPES.values()]


@given(st.text(max_size=200))
@settings(max_examples=100, deadline=None)
def test_no_text_makes_reading_fail(text):
    """Whatever a model writes."""
    for syntax in every_syntax():
        read_calls(text, syntax, TOOLS)
        read_calls(syntax.first + text + syntax.end, syntax, TOOLS)


@pytest.mark.parametrize("shape", ["keywords", "bare keys", "tagged, key repeated"])
def test_broken_calls_are_calls_with_what_was_written(shape):
    """Brackets that do not close, texts that do not end: the name is kept, and nothing is guessed."""
    render = renderer(SHAPES[shape])
    syntax = learn_syntax(render)
    whole = replied(render, [("get_weather", {"city": "Oslo"})])
    cut = whole[: whole.index("Oslo") + 2]
    _, found = read_calls(cut, syntax, TOOLS)
    assert [call.name for call in found] == ["get_weather"]
    assert "Oslo" not in found[0].arguments
    assert "Os" in found[0].arguments or found[0].arguments == "{}"


@pytest.mark.parametrize(
    "text", ["__import__('os')", "a=__import__('os')", "*a", "**a", "a=b'x'", "a=...", "a=[1", "a=" + "[" * 500]
)
def test_nothing_is_evaluated(text):
    """Keywords take literals alone."""
    with pytest.raises(ValueError, match=r"\w"):
        python_arguments(text)


def test_a_template_that_wants_arguments_as_text_is_learned_by_them():
    """Some put texts together; objects make them fail."""
    shape = SHAPES["name in the tag"].replace("{{ c.function.arguments | tojson }}", "{{ '' + c.function.arguments }}")
    render = renderer(shape)

    def as_text(messages):
        turned = json.loads(json.dumps(messages))
        for call in (call for message in turned for call in message.get("tool_calls", [])):
            call["function"]["arguments"] = json.dumps(call["function"]["arguments"])
        return render(turned)

    with pytest.raises(TypeError):
        learn_syntax(render)
    assert not isinstance(learn_syntax(as_text), str)


def test_a_template_cannot_make_its_reader_hang():
    """Marks with many ids are not looked for in texts."""
    many = (
        "{% for m in messages %}{{ m.role }}{{ m.content or '' }}{% for c in m.tool_calls or [] %}[T"
        + "{{ c.id }}-" * 12
    )
    shape = many + "]{{ c.function.name }}{{ c.function.arguments | tojson }}{% endfor %}<end>{% endfor %}"
    found = learn_syntax(renderer(shape))
    assert isinstance(found, str) or found.model_dump_json().count("u0000") <= 2
    started = time.process_time()
    if not isinstance(found, str):
        read_calls("[T" + "-" * 2000 + "functions." * 200, found, TOOLS)
    assert time.process_time() - started < 2  # of this process, however busy the machine is


def test_a_bare_object_is_a_call_only_if_it_is_the_reply():
    """And names a tool: JSON that answers something is an answer."""
    syntax = learn_syntax(renderer(SHAPES["bare object, one only"]))
    assert syntax.weak
    assert (
        read_calls('{"name": "get_weather", "parameters": {"city": "Oslo"}}', syntax, TOOLS)[1][0].name == "get_weather"
    )
    for text in ('{"answer": 4}', "[1, 2]", 'Here: {"name": "get_weather", "parameters": {}}'):
        assert read_calls(text, syntax, TOOLS) == (text, ())
