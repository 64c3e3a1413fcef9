"""One reply to one case: every aspect can pass and fail by itself, and nothing that a model writes makes judging fail."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.comparisons.tool_plants import right_reply, wrong_reply
from harness.comparisons.tool_replies import ASPECTS, cut_early, mark_reply, misfit
from harness.suites.requests import Call, Called
from harness.suites.tool_cases import ExpectedCall, ToolCase, shipped_cases

WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"],
    "additionalProperties": False}}}  # fmt: skip
NOTE = {"type": "function", "function": {"name": "save_note", "parameters": {"type": "object"}}}


def case(*calls, **more):
    turns = ({"role": "user", "content": "Weather in Oslo?"},)
    return ToolCase(**({"id": "a", "kind": "k", "messages": turns, "tools": (WEATHER, NOTE), "calls": calls} | more))


def wants(name="get_weather", **arguments):
    return ExpectedCall(name=name, arguments={key: tuple(values) for key, values in arguments.items()})


def calls(*pairs, finish="tool_calls", **more):
    made = tuple(Call(name=name, arguments=arguments, id=str(n)) for n, (name, arguments) in enumerate(pairs))
    return Called(calls=made, finish=finish, **more)


def says(text, finish="stop", **more):
    return Called(text=text, finish=finish, **more)


def right(aspect, one, reply, twin=None):
    return mark_reply(one, reply, twin)[aspect].right


def weather(**arguments):
    return "get_weather", json.dumps(arguments)


OSLO = ("get_weather", '{"city": "Oslo"}')


@pytest.mark.parametrize(
    ("aspect", "one", "good", "bad"),
    [
        ("trigger", case(wants(city=["Oslo"])), calls(OSLO), says("I do not know.")),
        ("trigger", case(), says("Hi."), calls(OSLO)),
        ("forced", case(choice="none"), says("Hi."), calls(OSLO)),
        ("forced", case(wants(), choice="required"), calls(("save_note", "{}")), says("Hi.")),
        ("forced", case(wants(), choice="get_weather"), calls(OSLO), calls(("save_note", "{}"))),
        ("choice", case(wants()), calls(OSLO), calls(("save_note", "{}"))),
        ("choice", case(wants(), wants()), calls(OSLO, OSLO), calls(OSLO)),
        ("arguments", case(wants(city=["Oslo"])), calls(weather(city=" oslo", days=2)), calls(weather())),
        ("arguments", case(wants(days=[2])), calls(weather(days=2.0)), calls(weather(days="2"))),
        ("arguments", case(wants(days=[1])), calls(weather(days=1)), calls(weather(days=True))),
        ("arguments", case(wants(city=["A"]), wants(city=["B"])), calls(weather(city="B"), weather(city="A")),
         calls(weather(city="A"), weather(city="A"))),
        ("arguments", case(wants(city=["Oslo"]), exact=True), calls(OSLO), calls(weather(city="oslo"))),
        ("schema", case(), calls(OSLO), calls(("get_weather", '{"city": 3}'))),
        ("schema", case(), says("Hi."), calls(("no_such", "{}"))),
        ("schema", case(), calls(OSLO), calls(("get_weather", '{"city": "Os'))),
        ("schema", case(), calls(OSLO), calls(("get_weather", '["Oslo"]'))),
        ("answer", case(says=("12",)), says("It is 12 degrees."), says("It is 125 degrees.")),
        ("answer", case(says=("12",)), says("12°C"), says("112")),
        ("answer", case(says=("12",)), says("درجة الحرارة ١٢"), says("درجة الحرارة ١٣")),
        ("answer", case(says=("11",)), says("现在是11度。"), says("")),
        ("answer", case(says=("A",)), says("It is A."), says("banana")),
        ("answer", case(says=("x",), says_too=("y",)), says("x and y"), says("x alone")),
        ("answer", case(), says("Anything."), says("  ")),
        ("answer", case(choice="none"), says("I would call it."), says("")),
        ("answer", case(says=("25",)), says("It is 25."), says("It is 25.9 degrees.")),
        ("answer", case(says=("25",)), says("25, I think"), says("1.25")),
        ("answer", case(says=("45",)), says("it costs $45.00."), says("it costs $45.50.")),
        ("language", case(scripts=("CJK",)), says("现在是11度。"), says("It is 11 degrees.")),
        ("language", case(scripts=("CJK", "HIRAGANA", "KATAKANA")), says("晴れ時々曇り、11 ºC、データ"), says("It is 11 ºC.")),
        ("language", case(scripts=("CJK",)), says("北京：11 °C"), says("Beijing: 11 °C")),
        ("language", case(scripts=("CYRILLIC",)), says("Зараз у Києві 11 градусів, мʼяко."), says("It is 11.")),
        ("language", case(scripts=("CJK", "HIRAGANA")), says("今は11度です。"), says("今は11度です。Привет")),
        ("speaks", case(), says("Hi.", reasoning="hm"), says("", reasoning="hm")),
        ("speaks", case(), calls(OSLO, reasoning="hm"), says(" \n")),
        ("marks", case(), says("a < b | c > d"), says("Hi.<|im_end|>")),
        ("marks", case(), says("see [1] and <b>"), says('<tool_call>{"name": "x"}</tool_call>')),
        ("marks", case(), says("Ġanni Borġ"[1:]), says("Hi.ĠHow")),
        ("marks", case(), says("x"), says("[TOOL_CALLS] x")),
        ("marks", case(), says("x"), says("]<]minimax[>[")),
        ("finish", case(), calls(OSLO), calls(OSLO, finish="stop")),
        ("finish", case(), says("Hi."), says("Hi.", finish="tool_calls")),
        ("finish", case(wants(), choice="get_weather"), calls(OSLO, finish="stop"), says("Hi.", finish="")),
        ("finish", case(wants(), choice="required"), calls(OSLO, finish="stop"), calls(OSLO, finish="error")),
        ("finish", case(), says("Hi.", finish="eos"), says("Hi.", finish="content_filter")),
        ("protocol", case(), says("Hi."), says("Hi.", problems=("a call has no id",))),
    ],
)  # fmt: skip
def test_every_aspect_passes_and_fails(aspect, one, good, bad):
    """One reply on each side."""
    assert right(aspect, one, good)
    assert not right(aspect, one, bad)
    assert aspect in {"finish", "protocol"} or not right("case", one, bad)


def test_a_stream_calls_what_the_whole_answer_calls():
    """The order of keys and calls, and blanks, do not matter; a twin without an answer says nothing."""
    one = case(stream=True, twin="b")
    twin = calls(("get_weather", '{"city": "Oslo", "days": 1}'))
    assert right("streams", one, calls(("get_weather", '{"days":1,"city":"Oslo"}')), twin)
    assert not right("streams", one, says("Hi."), twin)
    assert "streams" not in mark_reply(one, says("Hi."), Called(lost="refused"))
    assert right("case", one, says("Hi."), twin)  # what the stream says is judged for itself


def test_marks_that_the_user_wrote_may_be_said_back():
    """A note that holds a mark is no leak; and where calls are forbidden nobody asks for marks."""
    quoted = ({"role": "user", "content": 'Save: <invoke name="x"> is only text'},)
    assert right("marks", case(messages=quoted), says('Saved <invoke name="x">.'))
    assert "marks" not in mark_reply(case(choice="none"), says("<tool_call>"), None)
    turns = ({"role": "user", "content": "Save: </tool_call> is only text"},)
    assert right("marks", case(messages=turns), says("Saved '</tool_call> is only text'."))
    assert not right("marks", case(messages=turns), says("Saved.</tool_call><|im_end|>"))


def test_content_is_what_is_called_and_said_without_its_form():
    """Marks, ends and protocol do not enter it."""
    one = case(wants(city=["Oslo"]))
    bad_form = calls(OSLO, text="<|im_end|>", problems=("a call has no id",))
    assert (right("content", one, bad_form), right("case", one, bad_form)) == (True, False)
    assert not right("content", one, says("no"))


def test_a_reply_is_cut_early_only_if_its_bill_says_so():
    """Of 100 tokens: 98 are the limit, 50 are not, and a host that bills nothing is not accused."""
    assert [cut_early(says("x", finish="length", tokens=n), 100) for n in (50, 98, None)] == [True, False, False]
    assert not cut_early(says("x", tokens=5), 100)


def test_planted_replies_are_right_and_wrong_on_every_shipped_case():
    """What the self-check rests on: a right reply is right in every aspect, and each aspect has a reply that fails it."""
    for one in shipped_cases():
        good = right_reply(one)
        twin = good if one.twin else None
        assert all(mark.right for mark in mark_reply(one, good, twin).values()), one.id
        assert all(not misfit(one, call) for call in good.calls)
        for aspect in set(ASPECTS) - {"ends"}:
            marks = mark_reply(one, wrong_reply(one, aspect), twin)
            assert aspect not in marks or not marks[aspect].right, (one.id, aspect)


ARGUMENTS = st.text(max_size=20) | st.sampled_from(["{}", "[" * 5000, "1e999", '{"city": NaN}'])
CALLS = st.builds(Call, name=st.sampled_from(["get_weather", "save_note", "x"]), arguments=ARGUMENTS)
REPLIES = st.builds(
    Called,
    text=st.text(max_size=60),
    finish=st.sampled_from(["stop", "tool_calls", ""]),
    calls=st.lists(CALLS, max_size=3).map(tuple),
)


@given(REPLIES)
def test_no_reply_makes_judging_fail(reply):
    """Whatever it calls or says."""
    for one in (case(wants(city=["Oslo"])), case(says=("1",), scripts=("CJK",)), case(choice="none")):
        mark_reply(one, reply, None)


def test_a_checkpoint_is_not_asked_for_what_hosts_add():
    """Neither for its finish_reason nor for the protocol."""
    marks = mark_reply(case(), says("Hi.", source="text", finish="stop"), None)
    assert not {"finish", "protocol"} & set(marks)
    assert marks["case"].right
