"""The axis harm: worse, no worse, or not decided; and what is not measured is never cleared."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from harness.comparisons.tasks import compare_tasks
from harness.suites.scores import SelfCheck
from harness.verdicts.tasks import judge_tasks, task_findings
from tests.comparisons.test_tasks import head, scores


def facts_of(before, after, *, control=None, checks=None, alpha=0.01, **candidate):
    return compare_tasks([head()], {"t": scores(before)}, {"t": scores(after, **candidate)},
                         None if control is None else {"t": control}, checks or {}, alpha, 0)  # fmt: skip


def test_the_same_answers_are_within_where_there_are_enough():
    """And undecided where there are few: a loss of more than the margin stays possible."""
    enough = judge_tasks(facts_of([1, 0] * 150, [1, 0] * 150))
    assert enough.outcome == "WITHIN"
    assert "80 % power" in enough.reason
    few = judge_tasks(facts_of([1, 0] * 20, [1, 0] * 20))
    assert few.outcome == "INCONCLUSIVE"
    assert "items would show" in few.reason


def test_answers_that_get_worse_are_beyond():
    """With the finding, the task and both counts."""
    facts = facts_of([1] * 100, [0] * 12 + [1] * 88)
    verdict = judge_tasks(facts)
    assert (verdict.outcome, verdict.cause) == ("BEYOND", "unlisted")
    assert "12 of 100 items" in verdict.reason
    assert [one.code for one in task_findings(facts)] == ["TASK601"]


def test_answers_that_get_better_are_no_harm():
    """However many they are."""
    assert judge_tasks(facts_of([0] * 60 + [1] * 240, [1] * 300)).outcome == "WITHIN"


def test_replies_that_were_cut_too_early_are_called_clipping():
    """Only if nothing is left of the loss without them; replies that run to the limit are another thing."""
    cut = facts_of([1] * 600, [0] * 24 + [1] * 576, early=range(24))
    assert (judge_tasks(cut).outcome, judge_tasks(cut).cause) == ("BEYOND", "clipping")
    assert "TASK603" in [one.code for one in task_findings(cut)]
    both = facts_of([1] * 600, [0] * 40 + [1] * 560, early=range(24))
    assert judge_tasks(both).cause == "unlisted"
    few = facts_of([1] * 300, [0] * 12 + [1] * 288, early=range(1))
    assert judge_tasks(few).cause == "unlisted"
    running = facts_of([1] * 300, [0] * 14 + [1] * 286, cut=range(14))
    assert judge_tasks(running).cause == "unlisted"
    assert "TASK606" in [one.code for one in task_findings(running)]


def test_items_without_an_answer_stand_against_a_clearing():
    """All of them may have got worse."""
    after = [1] * 300
    assert judge_tasks(facts_of([1] * 300, after, lost=range(2))).outcome == "WITHIN"
    facts = facts_of([1] * 300, after, lost=range(6))
    assert judge_tasks(facts).outcome == "INCONCLUSIVE"
    assert "TASK605" in [one.code for one in task_findings(facts)]


def test_a_metric_that_cannot_fail_never_clears_anybody():
    """Nothing but vacuous tasks is not testable."""
    check = {"t": SelfCheck(task="t", metric="acc", items=300, failed=0, passed=0, passable=False)}
    facts = facts_of([1] * 300, [1] * 300, checks=check)
    assert judge_tasks(facts).outcome == "NOT_TESTABLE"
    assert [one.code for one in task_findings(facts)] == ["TASK604"]


def test_nothing_answered_is_not_testable():
    """With the reason."""
    verdict = judge_tasks(facts_of([1, 1], [1, 1], lost=[0, 1]))
    assert (verdict.outcome, verdict.reason) == ("NOT_TESTABLE", "No item was answered by both sides.")
    assert judge_tasks(facts_of([0.5], [0.25])).outcome == "NOT_TESTABLE"


def test_changed_answers_are_a_finding_and_no_harm():
    """More than the control's, on the same items."""
    same = ["a"] * 300
    reference, control = scores([1] * 300, answers=same), scores([1] * 300, answers=same)
    candidate = scores([1] * 300, answers=["b"] * 20 + same[20:])
    facts = compare_tasks([head()], {"t": reference}, {"t": candidate}, {"t": control}, {}, 0.01, 0)
    assert [one.code for one in task_findings(facts)] == ["TASK602"]
    assert judge_tasks(facts).outcome == "WITHIN"


def several(**sides):
    """Facts of tasks given as pairs of scores."""
    heads = [head(name) for name in sides]
    ours, theirs = ({name: pair[side] for name, pair in sides.items()} for side in (0, 1))
    return compare_tasks(heads, ours, theirs, None, {}, 0.01, 0)


def fine(name):
    """Six hundred items that are the same on both sides, of documents of their own."""
    made = [one.model_copy(update={"group": f"item {name} {one.item}"}) for one in scores([1, 0] * 300)]
    return made, made


def test_a_task_without_any_answer_stands_against_a_clearing():
    """However well the others went: what could not be measured is not passed."""
    lost = scores([1] * 400), scores([1] * 400, lost=range(400))
    assert judge_tasks(several(a=fine("a"))).outcome == "WITHIN"
    verdict = judge_tasks(several(a=fine("a"), b=lost))
    assert (verdict.outcome, "b was not judged" in verdict.reason) == ("INCONCLUSIVE", True)
    odd = scores([0.9] * 40), scores([0.1] * 40)
    assert judge_tasks(several(a=fine("a"), b=odd)).outcome == "INCONCLUSIVE"
    assert judge_tasks(several(a=(scores([1] * 5600, lost=range(5000)), scores([1] * 5600)))).outcome == "INCONCLUSIVE"


def test_a_reference_that_is_never_right_has_nothing_to_lose():
    """Alone it is not testable; beside others it is named as showing nothing."""
    never = scores([0] * 660), scores([0] * 660)
    assert judge_tasks(several(a=never)).outcome == "NOT_TESTABLE"
    verdict = judge_tasks(several(a=fine("a"), b=never))
    assert verdict.outcome == "WITHIN"
    assert "Nothing is shown by b." in verdict.reason


def test_a_loss_that_is_surely_within_the_margin_is_no_harm():
    """However sure it is that there is one."""
    verdict = judge_tasks(facts_of([1] * 120 + [0] * 60 + [1] * 13862, [0] * 120 + [1] * 60 + [1] * 13862))
    assert verdict.outcome == "WITHIN"
    assert "a loss that is there" in verdict.reason


def test_a_small_task_that_looks_worse_is_not_drowned_by_a_large_one():
    """It is too small to accuse, and enough not to clear."""
    small = scores([1] * 16), scores([0] * 7 + [1] * 9)
    verdict = judge_tasks(several(a=fine("a"), b=fine("b"), c=small))
    assert verdict.outcome != "WITHIN"


@pytest.mark.slow
def test_a_clearing_errs_as_seldom_as_stated_where_groups_are_unequal():
    """A loss just above the margin in groups that move as a whole, beside single items: cleared in 2.5 % at most."""
    rng = np.random.default_rng(4)
    sizes = np.array([1] * 600 + [30] * 20)
    groups = np.repeat(np.arange(len(sizes)), sizes)
    cleared = 0
    for _ in range(200):
        lost = np.repeat(rng.random(len(sizes)) < 0.0205, sizes)
        before = [
            one.model_copy(update={"group": f"g {g}"}) for one, g in zip(scores([1] * len(lost)), groups, strict=True)
        ]
        facts = compare_tasks([head()], {"t": before}, {"t": scores([int(not one) for one in lost])}, None, {}, 0.01, 0)
        cleared += judge_tasks(facts).outcome == "WITHIN"
    assert binomtest(cleared, 200, 0.025, alternative="greater").pvalue > 0.001


@pytest.mark.slow
@pytest.mark.parametrize("tasks", [1, 6])
def test_a_candidate_that_is_no_worse_is_accused_with_probability_alpha_at_most(tasks):
    """By simulation of all tasks together, at alpha 0.05; and nearly always at a planted loss of 8 points."""
    rng = np.random.default_rng(tasks)
    names = [f"t{n}" for n in range(tasks)]

    def outcomes(lost, won, runs):
        found = []
        for _ in range(runs):
            sides = [{}, {}]
            for name in names:
                kind = rng.choice(4, 300 // tasks, p=[lost, won, 0.5, 0.5 - lost - won])
                sides[0][name] = scores([int(k in (0, 2)) for k in kind])
                sides[1][name] = scores([int(k in (1, 2)) for k in kind])
            facts = compare_tasks([head(name) for name in names], *sides, None, {}, 0.05, 0)
            found.append(judge_tasks(facts).outcome)
        return found

    accused = outcomes(0.06, 0.06, 400).count("BEYOND")
    assert binomtest(accused, 400, 0.05, alternative="greater").pvalue > 0.001
    assert outcomes(0.11, 0.03, 50).count("BEYOND") >= 40
