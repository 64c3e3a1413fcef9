"""No answer of a host ends a run: whatever shape comes after whatever other, it is read, lost, or not told."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.comparisons.parameters import parameter_facts
from harness.comparisons.protocol import protocol_facts
from harness.prompts.conversation import Conversation
from harness.prompts.trials import draw_trials
from harness.suites.requests import Calling, Opening, Writing
from harness.targets.endpoint.answers import EndpointAnswers
from harness.targets.endpoint.calling import passing_failure, read_called
from harness.targets.endpoint.engines import ENGINES
from harness.targets.endpoint.probe import State, probe
from harness.targets.endpoint.prompt_scores import read_scores
from harness.targets.endpoint.replies import ask_reply, reply_of
from harness.targets.endpoint.transport import Answer
from harness.targets.endpoint.trials import try_all
from harness.targets.endpoint.ways import Question
from harness.targets.sampler import Sampler
from harness.verdicts.protocol import protocol_findings
from tests.support.answers import SOUND, answers, scripted_client

ASKED = Conversation(messages=({"role": "user", "content": "a"},))
CALLING = Calling(
    key="k", messages=({"role": "user", "content": "a"},), tools=(), choice="auto", limit=8, temperature=0.0
)
FUZZ = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def body(value: object) -> Answer:
    return Answer(200, {}, json.dumps(value).encode(), 0.1)


@FUZZ
@given(st.lists(answers(), min_size=1, max_size=22))
def test_no_probe_step_raises_whatever_comes_after_whatever(script):
    """Every row has a state; a host that sends nonsense has not said yes to anything for it."""
    with scripted_client(script) as client:
        profile = probe(client)
    assert all(one.state in State for one in profile.capabilities)
    assert profile.model_validate_json(profile.model_dump_json()) == profile


@pytest.mark.parametrize("later", SOUND, ids=range(len(SOUND)))
def test_every_step_of_a_probe_bears_every_answer_after_log_probabilities(later):
    """A host that tells log-probabilities once, and anything else at every later step."""
    (told,) = [
        one
        for one in SOUND
        if isinstance(one, dict) and "token_ids" in str(one.get("choices")) and "token_id:" not in str(one)
    ]
    shown = body(told)
    after = (
        Answer(200, {}, b"".join(b"data: %s\n\n" % json.dumps(e).encode() for e in later), 0.1)
        if isinstance(later, list)
        else body(later)
    )
    for switch in (6, 7, 8, 12, 16):
        with scripted_client([*[shown] * switch, *[after] * 40]) as client:
            assert probe(client).capabilities


@FUZZ
@given(st.lists(answers(), min_size=1, max_size=8))
def test_trials_and_questions_bear_every_shape(script):
    """Parameters are judged, and findings of the protocol are made, from what could be read."""
    with scripted_client(script) as client:
        parameter_facts(try_all(client, draw_trials(128, thorough=False)))
        replies = [
            one for _, one in client.together([lambda: ask_reply(client, Question(ASKED), 8, 0, Sampler(), 7)] * 3)
        ]
    facts = protocol_facts(replies, [9] * len(replies))
    assert facts.replies == sum(not reply.lost for reply in replies)
    protocol_findings(facts)
    for reply in replies:
        assert type(reply).model_validate_json(reply.model_dump_json()) == reply
        assert not reply.ids or all(0 <= one < 1 << 24 for one in reply.ids)


@FUZZ
@given(answers())
def test_every_reader_bears_every_shape(answer):
    """Calls of tools, scores of texts, replies of logs, and the prompts of every engine."""
    fields = answer.fields()
    reply_of(fields)
    read_called(answer, CALLING)
    read_called(answer, CALLING.model_copy(update={"stream": True}))
    passing_failure(answer)
    told = read_scores(answer, (6, 7, 8))
    assert told is None or len(told) == 2
    with scripted_client([answer]) as client:
        for engine in ENGINES:
            engine.recognise(client)
            found = engine(client)
            found.prompt(ASKED)
            found.encode("a")


@FUZZ
@given(st.lists(answers(), min_size=1, max_size=6))
def test_requests_of_suites_bear_every_shape(script):
    """Each request gets an answer, or the reason why there is none."""
    opening = Opening(messages=({"role": "user", "content": "a"},))
    writing = Writing(key="w", opening=opening, limit=8, until=("x",))
    with scripted_client(script) as client:
        found = EndpointAnswers(client, 4, None, 1).answer([writing, CALLING])
    assert len(found) == 2
