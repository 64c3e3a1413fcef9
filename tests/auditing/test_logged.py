"""Logs of traffic are read strictly: what a line does not say for certain is refused with its number."""

from __future__ import annotations

import json

import pytest

from harness.auditing.logged import read_logged
from harness.errors import TargetNotFound, UsageError
from harness.targets.endpoint.ways import is_neutral
from harness.targets.sampler import Sampler

ASKED = [{"role": "user", "content": "Hi"}]
WIRED = {
    "request": {"messages": ASKED, "max_tokens": 8, "temperature": 1},
    "response": {
        "choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11},
    },
}
PLAIN = {"messages": ASKED, "text": "Hello there", "ids": [1, 2], "finish_reason": "length", "completion_tokens": 2}


def log(tmp_path, *lines):
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines) + "\n\n")
    return path


def other(number: int, **changes) -> dict:
    return PLAIN | {"messages": [{"role": "user", "content": f"Question {number}"}]} | changes


def test_reasoning_of_a_logged_reply_is_read(tmp_path):
    """In the message of a response, or beside the text in the flat form; an object under that name steers."""
    message = {"content": "Yes", "reasoning": "Hm"}
    wired = {**WIRED, "response": {**WIRED["response"], "choices": [{"message": message, "finish_reason": "stop"}]}}
    lines = [wired, other(1, reasoning="Hm"), other(2, reasoning_content="Hm")]
    found = read_logged(log(tmp_path, *lines), Sampler()).found
    assert [(reply.thought, reply.field) for _, reply in found] == [
        ("Hm", "reasoning"), ("Hm", "reasoning"), ("Hm", "reasoning_content")
    ]  # fmt: skip
    with pytest.raises(UsageError, match="reasoning steers"):
        read_logged(log(tmp_path, other(1, reasoning={"effort": "high"})), Sampler())


def test_what_is_neutral_passes_and_only_what_is_said_counts_as_said(tmp_path):
    """A host that was not told to be neutral may add penalties of its own; one seed for all is shared chance."""
    neutral = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0, "stop": None, "n": 1, "seed": 3}
    found = read_logged(
        log(tmp_path, other(1, **neutral), other(2, seed=4, chat_template_kwargs={"a": 1})), Sampler()
    ).found
    assert [is_neutral(reply.way) for _, reply in found] == [True, False]
    assert found[1][0].options == {"a": 1}
    shared = read_logged(log(tmp_path, other(1, seed=7), other(2, seed=7), other(1)), Sampler())
    assert (len(shared.found), shared.repeats, shared.seeds) == (1, 1, 1)
    assert shared.dropped == "2 of 3 lines are left out: 1 whose conversation came before, 1 whose seed came before"
    stopped = read_logged(log(tmp_path, other(1, finish_reason="stop")), Sampler()).found
    assert stopped[0][1].asked > 2


def test_both_forms_are_read_in_the_order_of_the_file(tmp_path):
    """Bodies as they went over the wire, and a short form; a missing limit is what a cut reply came to."""
    logged = read_logged(log(tmp_path, WIRED, other(1)), Sampler())
    (asked, wired), (_, plain) = logged.found
    assert asked.messages == tuple(ASKED)
    assert (wired.text, wired.prompt, wired.billed, wired.asked, wired.ids) == ("Hello", 9, 2, 8, None)
    assert (plain.ids, plain.asked, plain.finish) == ((1, 2), 2, "length")
    assert len(logged.digest) == 64


def test_log_probabilities_in_a_log_are_read_as_those_of_a_host(tmp_path):
    """In both forms; the field of a request is a wish and no answer."""
    content = [{"id": 5, "token": "Hi", "logprob": -0.5, "top_logprobs": [{"id": 5, "token": "Hi", "logprob": -0.5}]}]
    wired = json.loads(json.dumps(WIRED))
    wired["request"]["logprobs"] = True
    wired["response"]["choices"][0]["logprobs"] = {"content": content}
    found = read_logged(log(tmp_path, wired, other(1, logprobs={"content": content}), other(2)), Sampler()).found
    told = [reply.told for _, reply in found]
    assert told[0] == told[1]
    assert told[0].pairs() == [[(5, -0.5)]]
    assert told[2] is None


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{nonsense", "line 2"),
        ("[1]", "not an object"),
        ({"messages": ASKED}, "no text"),
        ({"text": "x"}, "no messages"),
        ({"messages": [], "text": "x"}, "no messages"),
        ({"request": {"messages": ASKED}}, "without a response"),
        (PLAIN | {"temperature": 0.2}, "temperature 0.2"),
        (PLAIN | {"top_p": 0.9}, "top_p 0.9"),
        (PLAIN | {"completion_tokens": "many"}, "line 2"),
        (PLAIN | {"ids": ["a"]}, "line 2"),
        ("[" * 100_000, "line 2"),
        (PLAIN | {"top_k": 20}, "top_k steers"),
        (PLAIN | {"frequency_penalty": 1.5}, "frequency_penalty steers"),
        (PLAIN | {"stop": ["x"]}, "stop steers"),
        (PLAIN | {"response_format": {"type": "json_object"}}, "response_format steers"),
        (PLAIN | {"guided_regex": "a*"}, "guided_regex steers"),
        (PLAIN | {"logit_bias": {"5": -100}}, "logit_bias steers"),
        (PLAIN | {"min_p": 0.05}, "min_p steers"),
        (PLAIN | {"reasoning_effort": "high"}, "reasoning_effort steers"),
        (PLAIN | {"transforms": ["middle-out"]}, "transforms steers"),
        (PLAIN | {"plugins": [{"id": "web"}]}, "plugins steers"),
        (PLAIN | {"tools": [{"type": "function"}], "tool_choice": "none"}, "tool_choice steers"),
        (PLAIN | {"mirostat": 2, "mirostat_tau": 5}, "mirostat steers"),
        (PLAIN | {"temperature": True}, "temperature True"),
        (PLAIN | {"extra_body": {"top_k": 20}}, "extra_body steers"),
        (WIRED | {"request": WIRED["request"] | {"extra_body": {"top_k": 20}}}, "top_k steers"),
        (
            PLAIN | {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}]},
            "no text .image_url",
        ),
        ({"custom_id": "a", "response": {"status_code": 200, "body": WIRED["response"]}}, "without its request"),
    ],
)
def test_a_line_that_cannot_be_held_to_is_refused_with_its_number(tmp_path, line, problem):
    """No line is left out silently: a selection is no evidence."""
    with pytest.raises(UsageError, match=problem):
        read_logged(log(tmp_path, WIRED, line), Sampler())


def test_a_log_of_a_forced_sampler_is_read_under_that_sampler(tmp_path):
    """Every request must have asked for it."""
    asked = WIRED | {"request": WIRED["request"] | {"top_p": 0.9}}
    assert len(read_logged(log(tmp_path, asked), Sampler(cut="top_p", value=0.9)).found) == 1
    with pytest.raises(UsageError, match="--sampler"):
        read_logged(log(tmp_path, WIRED), Sampler(cut="top_p", value=0.9))


def test_no_file_and_an_empty_one_are_errors(tmp_path):
    """Nothing is judged of nothing."""
    with pytest.raises(TargetNotFound):
        read_logged(tmp_path / "none", Sampler())
    with pytest.raises(UsageError, match="0 replies"):
        read_logged(log(tmp_path, ""), Sampler())


TRANSPORT = {
    "provider": {"order": ["x"], "allow_fallbacks": False}, "usage": {"include": True}, "transforms": [], "route": "fallback",
    "user": "u", "metadata": {"a": "b"}, "store": True, "service_tier": "auto", "timeout": 60, "extra_headers": {"X-Title": "t"},
    "stream": True, "stream_options": {"include_usage": True}, "parallel_tool_calls": True, "n": 1, "stop": None,
    "response_format": None, "logit_bias": None, "reasoning_effort": None, "temperature": None, "top_p": None, "seed": None,
    "prompt_cache_key": "k", "tool_choice": "none", "tools": [], "mirostat": 0, "mirostat_tau": 5.0, "max_tokens": None,
    "max_completion_tokens": 8, "extra_body": {"models": ["toy", "other"], "top_k": -1},
}  # fmt: skip


def test_what_steers_nothing_is_accepted_and_nulls_are_not_said(tmp_path):
    """Fields of routers, clients and transport, at the top and in what clients call their extra body."""
    line = WIRED | {"request": {"messages": ASKED, **TRANSPORT}}
    ((asked, reply),) = read_logged(log(tmp_path, line), Sampler()).found
    assert (reply.text, reply.asked, asked.tools) == ("Hello", 8, None)
    assert not is_neutral(reply.way)  # nothing was said of min_p and of penalties
    told = {"request": line["request"] | {"min_p": 0.0, "repetition_penalty": None}}
    assert not is_neutral(read_logged(log(tmp_path, WIRED | told), Sampler()).found[0][1].way)
    told["request"]["repetition_penalty"] = 1.0
    assert is_neutral(read_logged(log(tmp_path, WIRED | told), Sampler()).found[0][1].way)


EVENTS = [
    {"model": "m", "choices": [{"delta": {"role": "assistant", "content": "Hel"}}]},
    {"model": "m", "choices": [{"delta": {"content": "lo"}, "finish_reason": "stop"}]},
    {"model": "m", "choices": [], "usage": WIRED["response"]["usage"]},
]
STREAM = "".join(f"data: {json.dumps(event)}\n\n" for event in EVENTS) + "data: [DONE]\n\n"


@pytest.mark.parametrize(
    "line",
    [
        {"request": {"method": "POST", "url": "u", "headers": {}, "body": WIRED["request"]},
         "response": {"status_code": 200, "body": WIRED["response"]}},
        {"request": {"body": json.dumps(WIRED["request"])}, "response": {"body": json.dumps(WIRED["response"])}},
        {"request": json.dumps(WIRED["request"]), "response": json.dumps(WIRED["response"])},
        {"id": "a", "call_type": "acompletion", "messages": ASKED, "response": WIRED["response"], "startTime": 1.0,
         "model_parameters": {"max_tokens": 8, "temperature": 1.0, "stream": False}},
        {"input": ASKED, "output": WIRED["response"]},
        {"input": WIRED["request"], "output": WIRED["response"], "metadata": {}},
        {"request": WIRED["request"], "response": EVENTS},
        {"request": WIRED["request"], "response": {"body": STREAM}},
    ],
    ids=["http", "http-texts", "texts", "gateway", "input-output", "traced", "events", "stream"],
)  # fmt: skip
def test_the_shapes_of_several_loggers_say_the_same(tmp_path, line):
    """Bodies, exchanges of HTTP, what gateways keep, and streams: one reply."""
    ((asked, reply),) = read_logged(log(tmp_path, line), Sampler()).found
    assert asked.messages == tuple(ASKED)
    assert (reply.text, reply.finish, reply.billed, reply.prompt) == ("Hello", "stop", 2, 9)


def test_the_names_around_a_reply_are_read_from_every_form(tmp_path):
    """What was asked for, and who answered."""
    wired = {"request": WIRED["request"] | {"model": "toy"}, "response": WIRED["response"] | {
        "model": "toy-2026-01-01", "system_fingerprint": "f", "provider": "x"}}  # fmt: skip
    flat = other(
        1, model="toy", system_fingerprint="f", usage={"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
    )
    (_, first), (_, second) = read_logged(log(tmp_path, wired, flat), Sampler()).found
    assert (first.wanted, first.model, first.fingerprint, first.provider) == ("toy", "toy-2026-01-01", "f", "x")
    assert (second.model, second.fingerprint, second.prompt, second.total) == ("toy", "f", 9, 11)


def test_an_error_in_a_log_is_a_lost_reply_that_says_so(tmp_path):
    """And no broken file."""
    line = {"request": WIRED["request"], "response": {"error": {"message": "Provider returned error", "code": 429}}}
    ((_, reply),) = read_logged(log(tmp_path, line), Sampler()).found
    assert reply.lost == "the answer is an error: Provider returned error"


@pytest.mark.parametrize("ids", [[-1, -1], [5, -100], [], None])
def test_padding_is_no_id(tmp_path, ids):
    """Nothing is told where a number is none of the vocabulary's; the text is."""
    ((_, reply),) = read_logged(log(tmp_path, other(1, ids=ids)), Sampler()).found
    assert (reply.ids, reply.text) == (None, "Hello there")


def test_a_mark_of_the_byte_order_and_other_line_ends_are_read(tmp_path):
    """As Windows writes them."""
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(WIRED).encode() + b"\r\n" + json.dumps(other(1)).encode() + b"\r\n")
    assert len(read_logged(path, Sampler()).found) == 2
