"""Replies of models that think are evidence: put together from fields and marks, by ids where they come and by text otherwise."""

from __future__ import annotations

import numpy as np
import pytest

from harness.auditing import AuditRequest, audit_endpoint
from harness.auditing.thinking import Thinking, marks_of
from harness.config import Places
from harness.prompts.conversation import FROZEN_CLOCK
from harness.prompts.thoughts import USUAL
from harness.targets.checkpoint.target import Workers
from harness.targets.endpoint.address import parse_address
from harness.targets.endpoint.client import Client
from harness.targets.endpoint.local import local_host
from harness.targets.endpoint.replies import Reply
from harness.targets.opening import open_target
from harness.targets.prompt_source import open_prompt_source
from harness.targets.spec import Runtime, parse_spec
from tests.support.hosts import host
from tests.support.steps import ended
from tests.support.thinking import thinking_host, thinking_reference, thinking_template

OPENED = USUAL.model_copy(update={"opened": True, "after_begin": ""})
RAW = "Hm, so.\n</think>\n\nYes."


@pytest.fixture(scope="module")
def target(toy, tmp_path_factory):
    """The toy checkpoint, whose tokens are bytes."""
    with Workers() as workers:
        yield open_target(parse_spec(str(toy)), workers, tmp_path_factory.mktemp("cache"))


def ids_of(target, text):
    (encoded,) = target.tokenize([text])
    return encoded.ids


def put(target, *replies):
    """Replies of one host, by their texts and by their ids."""
    thinking = Thinking(OPENED, target, target.silent())
    whole = thinking.whole([Reply(finish="stop", **one) for one in replies])
    return whole, thinking.by_ids(whole)


def test_ids_of_the_raw_reply_are_taken_with_its_own_text(target):
    """Whatever blanks a parser took away; a reply whose ids spell something else stays as it came, and is lost later."""
    seen = {"thought": "Hm, so.", "text": "Yes.", "field": "reasoning"}
    _, (right, other) = put(
        target,
        seen | {"ids": ids_of(target, "Hm, so.</think>\nYes.")},
        seen | {"ids": ids_of(target, "Hm, so.</think>\nNo.")},
    )
    assert right.text == "Hm, so.</think>\nYes."
    assert other.text == "Hm, so.</think>\nYes."  # as the ids set blanks; they spell another answer


def test_ids_that_were_left_out_cost_no_blank(target):
    """Engines leave out ids of pieces of characters: what came before the gap still counts, by the blanks that the ids spell."""
    ids = ids_of(target, "\n Hm, ")
    _, (found,) = put(target, {"thought": "Hm, \u00e9t\u00e9.", "text": "", "ids": ids, "billed": len(ids) + 9})
    assert found.text == "\n Hm, \u00e9t\u00e9."


@pytest.mark.parametrize(("billed", "reasoned", "prompt", "total"), [(4, 16, 9, 13), (4, 0, 9, 29), (20, 16, 9, 29)])
def test_reasoning_that_is_billed_beside_the_answer_is_added(target, billed, reasoned, prompt, total):
    """By what the bill lays on reasoning, or by its sum: the ids say which of them holds."""
    ids = ids_of(target, "Hm, so.</think>\nYes.")
    bill = {"billed": billed, "reasoned": reasoned, "prompt": prompt, "total": total}
    _, (found,) = put(target, {"thought": "Hm, so.", "text": "Yes.", "ids": ids, **bill})
    assert (found.billed, len(ids)) == (20, 20)


def test_a_stop_among_the_ids_is_no_part_of_the_answer(target):
    """Hosts that tell ids list it, and show no text of it."""
    stop = int(np.flatnonzero(target.silent())[-1])
    _, (found,) = put(target, {"thought": "Hm, so.", "text": "", "ids": (*ids_of(target, "Hm, so.\n</think>"), stop)})
    assert found.text == "Hm, so.\n</think>"


def test_ids_of_the_answer_alone_are_left_out(target):
    """Some hosts align them with the text that they show: then replies are judged by their text."""
    _, (found,) = put(target, {"thought": "Hm, so.", "text": "Yes.", "ids": ids_of(target, "Yes.")})
    assert (found.ids, found.text) == (None, RAW)


def test_a_mark_in_front_is_taken_off_where_all_replies_have_it(target):
    """One that the model itself wrote stays."""
    whole, _ = put(target, {"text": "<think>Hm."}, {"text": "<think>So.</think>Yes"})
    assert [one.text for one in whole] == ["Hm.", "So.</think>Yes"]
    whole, _ = put(target, {"text": "<think>Hm."}, {"text": "So.</think>Yes"})
    assert whole[0].text == "<think>Hm."


def test_local_replies_go_the_same_way(target):
    """What a host of this kind would show of them, put together again; any other host shows them as they are."""
    ids = ids_of(target, "Hm, so. </think>Yes.")
    thinking = Thinking(OPENED, target, target.silent())
    thinking.whole([Reply(text="Yes", thought="Hm", field="reasoning", finish="stop")])
    assert thinking.again([ids]) == [RAW]
    assert Thinking(OPENED, target, target.silent()).again([ids]) == [ids]


def test_marks_are_read_from_the_references_own_template(smollm, tmp_path):
    """None of a model that does not think; opened by the prompt of one that does."""
    cache = Places.default().cache
    assert not marks_of(open_prompt_source(str(smollm), cache), FROZEN_CLOCK)
    thinks = thinking_reference(smollm, tmp_path / "thinks")
    found = marks_of(open_prompt_source(str(thinks), cache), FROZEN_CLOCK)
    assert (found.begin, found.end, found.opened) == ("<think>", "</think>", True)


def audit(reference, address, results, **options):
    """One audit of a host of a thinking model, without trials."""
    request = AuditRequest(
        str(reference),
        bank=("ggufq:Q4_0",),
        controls=False,
        checks="none",
        nonce="test",
        runtime=Runtime(threads=1),
        **options,
    )
    with Client(parse_address(address)) as client:
        return ended(audit_endpoint(request, client, Places(results, Places.default().cache)))[0]


@pytest.fixture(scope="module")
def thinks(smollm, smollm_gguf, tmp_path_factory):
    """A reference that closes its thoughts, and the address of a real server of its own file."""
    folder = thinking_reference(smollm, tmp_path_factory.mktemp("thinks") / "reference", shows=True)
    with local_host(smollm_gguf, thinking_template(smollm, shows=True)) as sound:
        yield folder, sound.removesuffix("/v1")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["details"])  # all of them: bench/hosts_in_the_wild.py
def test_a_thinking_host_is_judged_as_on_raw_text(form, thinks, tmp_path):
    """Nothing grows on an honest host, no reply is lost, and a 4-bit build is ruled out; hosts in four bits: the benchmark."""
    reference, sound = thinks
    with host(thinking_host(sound, form)) as running:
        card = audit(reference, running.address, tmp_path / "sound", requests=4)
    assert card.facts.weights.crossed_at == 0
    assert card.facts.lost == 0
    assert card.facts.builds[0].excluded


@pytest.mark.slow
def test_hidden_reasoning_is_not_testable_and_the_way_out_works(thinks, tmp_path):
    """The verdict names completions, and by completions the same host is judged."""
    reference, sound = thinks
    with host(thinking_host(sound, "hidden")) as running:
        card = audit(reference, running.address, tmp_path / "chat", requests=2)
        assert card.axes[0].outcome == "NOT_TESTABLE"
        assert "--protocol completions" in card.axes[0].reason
        card = audit(reference, running.address, tmp_path / "raw", requests=2, protocol="completions")
    assert card.axes[0].outcome != "NOT_TESTABLE"
    assert card.facts.builds[0].excluded
