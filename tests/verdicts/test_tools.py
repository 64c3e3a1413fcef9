"""The verdict on tool calls: honest hosts are rarely accused, each fault has its code, and form is not laid on weights."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from scipy.stats import binomtest

from harness.comparisons.tasks import compare_tasks
from harness.comparisons.tool_plants import right_reply, wrong_reply
from harness.comparisons.tools import tool_facts
from harness.suites.requests import Call, Called
from harness.suites.tool_cases import shipped_cases
from harness.tasking.tool_suite import ToolSuite
from harness.verdicts.tools import judge_tools, tool_findings

CASES = shipped_cases()
SUITE = ToolSuite(CASES)
HEADS, checks = SUITE.heads(), functools.cache(SUITE.self_check)
GOOD = {case.id: right_reply(case) for case in CASES}
MARGIN = 0.05


def failing(aspect, *, kinds):
    """Right replies but for some that fail an aspect."""
    return GOOD | {case.id: wrong_reply(case, aspect) for case in CASES if case.kind in kinds}


def judged(candidate, *, reference=None, control=None, alpha=0.01):
    scores = [SUITE.scored(one) for one in (reference or GOOD, candidate, control or reference or GOOD)]
    facts = compare_tasks(HEADS, scores[0], scores[1], scores[2], checks(), alpha, 0)
    tools = tool_facts(*scores)
    return judge_tools(facts, tools, MARGIN), {one.code: one.detail for one in tool_findings(facts, tools)}, tools


def test_the_same_replies_are_cleared():
    """182 cases are enough for five points, where nothing changes."""
    verdict, findings, tools = judged(GOOD)
    assert (verdict.outcome, findings) == ("WITHIN", {})
    assert tools.trigger.f1 == 1.0


@pytest.mark.parametrize(
    ("aspect", "kinds", "code", "cause"),
    [
        ("trigger", ("must-call", "choose"), "TOOL701", "unlisted"),
        ("choice", ("must-call", "choose"), "TOOL702", "unlisted"),
        ("arguments", ("must-call", "special"), "TOOL702", "unlisted"),
        ("schema", ("must-call", "special"), "TOOL703", "unlisted"),
        ("forced", ("named", "required", "none"), "TOOL704", "unlisted"),
        ("marks", ("must-call", "special"), "TOOL705", "parser"),
        ("speaks", ("must-not-call", "round-trip"), "TOOL706", "unlisted"),
        ("finish", ("must-call", "special"), "TOOL707", "protocol"),
        ("protocol", ("must-call", "special"), "TOOL708", "protocol"),
        ("answer", ("round-trip", "language"), "TOOL710", "unlisted"),
        ("ends", ("must-call", "special"), "TASK606", "unlisted"),
    ],
)
def test_every_fault_has_its_code_and_its_layer(aspect, kinds, code, cause):
    """And is an accusation where it befalls two kinds of cases."""
    candidate = failing(aspect, kinds=kinds)
    if aspect == "ends":  # to the limit that was asked for
        cut = {key: one for key, one in candidate.items() if one.finish == "length"}
        candidate |= {key: one.model_copy(update={"tokens": SUITE.limit}) for key, one in cut.items()}
    verdict, findings, _ = judged(candidate)
    assert code in findings
    assert (verdict.outcome, verdict.cause) == ("BEYOND", cause), verdict.reason


def test_streams_that_lose_their_calls_are_found():
    """Though few cases show it."""
    candidate = GOOD | {case.id: wrong_reply(case, "streams") for case in CASES if case.stream}
    verdict, findings, _ = judged(candidate)
    assert (verdict.outcome, verdict.cause) == ("BEYOND", "parser")
    assert "are streams" in verdict.reason
    assert "TOOL709" in findings


def test_calls_that_were_left_in_the_text_are_the_parsers():
    """Every reply that lost its call holds it as text; where some do not, nobody is named."""
    unparsed = {}
    for case in CASES:
        if GOOD[case.id].calls:
            told = [f'{{"name": "{call.name}", "arguments": {call.arguments}}}' for call in GOOD[case.id].calls]
            text = "".join(f"<tool_call>\n{call}\n</tool_call>" for call in told)
            unparsed[case.id] = GOOD[case.id].model_copy(update={"calls": (), "text": text, "finish": "stop"})
    verdict, findings, _ = judged(GOOD | unparsed)
    assert (verdict.outcome, verdict.cause) == ("BEYOND", "parser")
    assert {"TOOL701", "TOOL705"} <= set(findings)
    mixed = unparsed | {case.id: wrong_reply(case, "answer") for case in CASES if case.kind == "round-trip"}
    assert judged(GOOD | mixed)[0].cause == "unlisted"
    broken = {key: one.model_copy(update={"text": one.text.replace("{", "")}) for key, one in unparsed.items()}
    assert judged(GOOD | broken)[0].cause == "unlisted"  # what a correct parser passes on, too


def test_calls_that_share_an_index_are_the_protocols():
    """Clients merge them into one that is none: the loss is real, and it is the form's; where some lost more, nobody is named."""
    shared = {
        case.id: reply.model_copy(update={
            "calls": (Call(name=reply.calls[-1].name, arguments="".join(one.arguments for one in reply.calls)),),
            "apart": reply.calls, "problems": ("several calls of a stream share an index",),
        })
        for case in CASES
        if len((reply := GOOD[case.id]).calls) > 1
    }  # fmt: skip
    verdict, findings, tools = judged(GOOD | shared)
    assert (verdict.outcome, verdict.cause) == ("BEYOND", "protocol")
    assert "share an index" in findings.get("TOOL708", findings.get("TOOL714", ""))
    assert tools.lost_merged == tools.lost_content > 0
    mixed = shared | {case.id: wrong_reply(case, "answer") for case in CASES if case.kind == "round-trip"}
    assert judged(GOOD | mixed)[0].cause == "unlisted"


def test_a_reference_without_form_is_not_held_against_anybody():
    """A checkpoint has neither finish_reason nor protocol, even where one of its conversations was lost."""
    checkpoint = {key: one.model_copy(update={"source": "text"}) for key, one in GOOD.items()}
    first = CASES[0].id
    verdict, findings, _ = judged(
        failing("finish", kinds=("must-call",)), reference=checkpoint | {first: Called(lost="too long")}
    )
    assert "TOOL714" not in findings
    assert verdict.outcome != "BEYOND"


def test_cut_replies_alone_are_told_in_numbers():
    """Also where no reply came whole."""
    cut = {key: one.model_copy(update={"finish": "length", "tokens": 3}) for key, one in GOOD.items()}
    verdict, _, _ = judged(cut)
    assert (verdict.outcome, verdict.cause) == ("BEYOND", "clipping")
    assert "nan" not in verdict.reason


def test_replies_that_a_host_cuts_are_clipping():
    """Its bill says less than was asked for."""
    cut = {case.id: GOOD[case.id].model_copy(update={"finish": "length", "tokens": 30}) for case in CASES[:40]}
    verdict, findings, _ = judged(GOOD | cut)
    assert (verdict.outcome, verdict.cause) == ("BEYOND", "clipping")
    assert "40 replies" in findings["TASK603"]


def test_what_the_reference_does_as_well_is_no_fault():
    """A vendor whose own answers break the protocol is not held against others."""
    lying = failing("finish", kinds=("must-call", "special"))
    verdict, findings, _ = judged(lying, reference=lying)
    assert (verdict.outcome, findings) == ("WITHIN", {})
    verdict, findings, _ = judged(GOOD, reference=lying)
    assert (verdict.outcome, findings) == ("WITHIN", {})


def test_a_host_that_refuses_is_not_testable_and_one_that_refuses_some_is_not_cleared():
    """Refused is neither right nor wrong."""
    refused = {case.id: Called(lost="refused: 400 tools are not supported") for case in CASES}
    verdict, findings, _ = judged(refused)
    assert verdict.outcome == "NOT_TESTABLE"
    assert f"{len(CASES)} requests" in findings["TOOL712"]
    some = GOOD | {case.id: refused[case.id] for case in CASES if case.choice in {"required", "get_weather"}}
    verdict, findings, _ = judged(some)
    assert verdict.outcome == "INCONCLUSIVE"
    assert "TOOL712" in findings


def test_a_few_faults_of_form_are_told_and_not_proven():
    """An honest host may show one more than the reference by chance."""
    verdict, findings, _ = judged(GOOD | {case.id: wrong_reply(case, "marks") for case in CASES[:2]})
    assert verdict.outcome != "BEYOND"
    assert list(findings) == ["TOOL714"]


def test_form_that_got_better_does_not_pay_for_what_is_lost():
    """A host that ignores forced choices is not cleared because it leaves no marks."""
    marked = failing("marks", kinds=("must-not-call",))
    verdict, _, _ = judged(failing("arguments", kinds=("reasoned-step",)), reference=marked)
    assert verdict.outcome == "INCONCLUSIVE"
    assert "what is called and said" in verdict.reason or "may be more" in verdict.reason


def test_calls_that_the_reference_does_not_make_are_not_held_against_it():
    """A schema is compared where both sides call: a candidate that calls more may also misfit more."""
    kinds = ("must-call", "choose")
    silent = failing("trigger", kinds=kinds)
    eager = {case.id: wrong_reply(case, "schema") for case in CASES if case.kind in kinds}
    verdict, findings, _ = judged(GOOD | eager, reference=silent, control=silent)
    assert "TOOL703" not in findings
    assert verdict.outcome != "BEYOND"


def test_a_reference_that_is_hardly_ever_right_is_not_testable():
    """And not a crash: there is nothing to lose."""
    poor = failing("marks", kinds={case.kind for case in CASES})
    verdict, _, _ = judged(poor, reference=poor)
    assert verdict.outcome == "NOT_TESTABLE"


def test_what_both_sides_leave_unanswered_stands_against_nobody():
    """Cut or refused alike; told once, and no fault of the candidate's."""
    cut = GOOD | {case.id: Called(lost="refused: 400 no") for case in CASES[:12]}
    verdict, findings, _ = judged(cut, reference=cut)
    assert (verdict.outcome, findings) == ("WITHIN", {})


def test_halves_of_characters_are_stored():
    """A host may cut an emoji in two; the run does not end of it."""
    name = next(case.id for case in CASES if case.kind == "special")
    half = GOOD[name].calls[0].model_copy(update={"arguments": '{"title": "n", "text": "\\ud83d done"}'})
    scores = SUITE.scored(GOOD | {name: GOOD[name].model_copy(update={"calls": (half,)})})
    assert all(one.model_dump_json() for items in scores.values() for one in items)


def test_reasoning_in_another_field_is_told():
    """Programs that were written for the reference do not find it."""
    moved = {key: one.model_copy(update={"field": "reasoning"}) for key, one in GOOD.items()}
    verdict, findings, _ = judged(moved)
    assert (verdict.outcome, list(findings)) == ("WITHIN", ["TOOL713"])


def drawn(rng, chances):
    """Replies of one host: each case fails one of its aspects with a chance of its own, or is right."""
    fails = rng.random(len(CASES)) < chances
    aspects = rng.choice(["trigger", "arguments", "schema", "finish", "ends", "answer"], len(CASES))
    drawn_of = zip(CASES, fails, aspects, strict=True)
    return {case.id: wrong_reply(case, aspect) if fail else GOOD[case.id] for case, fail, aspect in drawn_of}


@pytest.mark.slow
def test_an_honest_host_is_accused_with_probability_alpha_at_most():
    """Null: reference, control and candidate draw from the same chances, case by case; the unit is the case with its stream."""
    rng, alpha, runs = np.random.default_rng(20261126), 0.1, 150
    accused = 0
    for _ in range(runs):
        chances = rng.beta(0.4, 1.6, len(CASES))
        reference, control, candidate = (drawn(rng, chances) for _ in range(3))
        accused += judged(candidate, reference=reference, control=control, alpha=alpha)[0].outcome == "BEYOND"
    assert binomtest(accused, runs, alpha, alternative="greater").pvalue > 0.01, accused


@pytest.mark.slow
def test_a_loss_of_a_fifth_of_all_cases_is_found():
    """As the printed MDE says, about: power of the whole procedure on replies that also change by chance."""
    rng, runs = np.random.default_rng(7), 40
    found = 0
    for _ in range(runs):
        chances = rng.beta(0.2, 3.8, len(CASES))
        reference, control = (drawn(rng, chances) for _ in range(2))
        candidate = drawn(rng, np.maximum(chances, 0.25))
        found += judged(candidate, reference=reference, control=control)[0].outcome == "BEYOND"
    assert binomtest(found, runs, 0.8, alternative="less").pvalue > 0.01, found
