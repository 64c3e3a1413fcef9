"""What answers to both forms amount to: equal, different by a known fault, different by none, and too noisy to say."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.comparisons.first_token import first_token_gap
from harness.prompts.faults import LIBRARY
from harness.targets.endpoint.told import Told
from harness.verdicts.self_render import PAIRS, FaultRow, FormRow, SelfRenderIn, judge_self_render

FAULTS = ("system-dropped", "no-generation-prompt", "double-bos")


PLAIN = {"messages": [{"role": "user", "content": "a"}]}


def evidence(gaps, floor=0.001, faults=0.3, billed=30, request=PLAIN, **more):
    """Conversations with these gaps; every fault is ``faults`` away from the reference's prompt."""
    rows = [
        FormRow(case="system", number=n, request=request, gap=gap, floor=floor, expected=30, billed=billed)
        for n, gap in enumerate(gaps)
    ]
    shown = [FaultRow(fault=name, case="system", number=0, from_sound=faults, from_host=faults) for name in FAULTS]
    return SelfRenderIn(
        reference="r", template="t", tokenizer="k", endpoint="e", stage="done", requests=60, rows=tuple(rows),
        faults=tuple(shown), **more,
    )  # fmt: skip


def test_equal_answers_clear_what_the_host_shows_to_be_visible():
    """A host whose answers do not depend on the prompt is equal to itself, too, and cleared of nothing."""
    assert judge_self_render(evidence([0.0] * 10))[0].outcome == "WITHIN"
    assert judge_self_render(evidence([0.0] * 10, faults=0.01))[0].outcome == "INCONCLUSIVE"
    assert judge_self_render(evidence([0.0] * 7))[0].outcome == "NOT_TESTABLE"
    assert judge_self_render(evidence([None] * 10))[0].outcome == "NOT_TESTABLE"
    assert judge_self_render(evidence([0.0] * 10, billed=None))[0].outcome == "WITHIN"
    assert judge_self_render(evidence([0.0] * 10, billed=12))[0].outcome == "INCONCLUSIVE"


def test_a_host_that_does_not_repeat_itself_is_neither():
    """Gaps that repetitions of one prompt have, too, accuse nobody; beyond some point nothing can be said."""
    assert judge_self_render(evidence([0.07] * 10, floor=0.04))[0].outcome == "WITHIN"
    assert judge_self_render(evidence([0.5] * 10, floor=0.11))[0].outcome == "NOT_TESTABLE"


@pytest.mark.parametrize(
    ("named", "exceeding", "outcome", "code"),
    [
        (("system-dropped",), PAIRS, "BEYOND", "TMPL112"),
        (("system-dropped",), PAIRS - 1, "INCONCLUSIVE", "INTG518"),
        ((), PAIRS, "INCONCLUSIVE", "INTG518"),
        (("last-newline-lost",), PAIRS, "WITHIN", "TMPL110"),  # told, and of no consequence
    ],
)
def test_only_a_fault_that_fits_and_stands_accuses(named, exceeding, outcome, code):
    """A difference alone may be another model behind one of both forms; one that comes and goes may be a cache."""
    verdict, findings = judge_self_render(evidence([0.4, 0.3, *[0.0] * 9], named=named, exceeding=exceeding))
    assert verdict.outcome == outcome
    assert [finding.code for finding in findings] == [code]


def test_a_tie_of_a_fault_that_matters_and_one_that_does_not_neither_clears_nor_accuses():
    """The first token does not tell them apart."""
    found = evidence([0.4, 0.3, *[0.0] * 9], named=("last-newline-lost", "no-generation-prompt"), exceeding=PAIRS)
    assert judge_self_render(found)[0].outcome == "INCONCLUSIVE"


def test_faults_of_conversations_that_were_not_answered_are_not_ruled_out():
    """They count among those that would have to be visible, and are listed."""
    hidden = tuple(fault.name for fault in LIBRARY if fault.severity in {"S2", "S3"})
    assert judge_self_render(evidence([0.0] * 10, hidden=hidden))[0].outcome == "INCONCLUSIVE"
    verdict, _ = judge_self_render(evidence([0.0] * 10, hidden=("tools-dropped",)))
    assert verdict.outcome == "WITHIN"
    assert "tools-dropped" in verdict.reason


def test_small_changes_to_tools_or_to_one_conversation_accuse_nobody():
    """Engines whose habits nobody measured write tools in ways of their own, and one conversation may be anything."""
    tools = PLAIN | {"tools": [{"type": "function"}]}
    for gaps, request, fault, outcome in (
        ([0.4], PLAIN, "hidden-system", "INCONCLUSIVE"),
        ([0.4], PLAIN, "system-dropped", "BEYOND"),
        ([0.4, 0.4], tools, "tools-rebuilt", "INCONCLUSIVE"),
        ([0.4, 0.4], tools, "tools-dropped", "BEYOND"),
        ([0.4, 0.4], PLAIN, "hidden-system", "BEYOND"),
    ):
        found = evidence([*gaps, *[0.0] * 9], request=request, named=(fault,), exceeding=PAIRS)
        assert judge_self_render(found)[0].outcome == outcome, fault


lists = st.lists(st.floats(0.01, 1.0), min_size=4, max_size=8, unique=True)


def told(masses, whole=1.0):
    """A list of the next token's probabilities, which sum to ``whole``; the ids are their places."""
    total = sum(masses)
    return Told.of([[(place, math.log(whole * mass / total)) for place, mass in enumerate(masses)]])


@given(lists, lists)
def test_a_gap_is_a_distance_and_never_more_than_the_whole(one, other):
    """Symmetric, 0 for the same list, at most 1; where both lists are whole it is the total variation."""
    a, b = told(one), told(other)
    assert first_token_gap(a, a) == 0.0
    assert first_token_gap(a, b) == first_token_gap(b, a)
    assert 0.0 <= first_token_gap(a, b) <= 1.0
    if len(one) == len(other):
        p, q = ([mass / sum(masses) for mass in masses] for masses in (one, other))
        assert first_token_gap(a, b) == pytest.approx(
            0.5 * sum(abs(x - y) for x, y in zip(p, q, strict=True)), abs=1e-9
        )


def test_lists_that_cannot_be_compared_have_no_gap():
    """Nothing told, next to nothing, tokens by names here and by ids there, and numbers that are no probabilities."""
    sound = told([3.0, 2.0, 1.0])
    rare = Told.of([[(9, -7.0), *((place, value) for place, value in sound.pairs()[0])]])
    assert (
        first_token_gap(sound, rare) == 0.0
    )  # what was drawn from behind the end of the list says nothing of the list
    named = Told.of([[("a", -0.5), ("b", -1.5), ("c", -3.0)]])
    broken = Told.of([[(1, 0.0), (2, 0.0), (3, 0.0)]])
    for other in (None, told([1.0, 2.0]), named, broken):
        assert first_token_gap(sound, other) is None
