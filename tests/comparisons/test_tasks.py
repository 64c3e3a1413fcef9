"""Flips, churn and losses from scores of both sides, joined by item."""

from __future__ import annotations

import math

import pytest

from harness.comparisons.tasks import compare_tasks
from harness.suites.scores import ItemScore, SelfCheck, TaskHead


def head(name="t", **changes):
    fields = {"name": name, "version": "1", "kind": "generate_until", "metrics": ("acc",), "higher_is_better": {"acc": True},
              "filter": "none", "items": 4, "limit": 8}  # fmt: skip
    return TaskHead(**(fields | changes))


def scores(values, *, answers=None, cut=(), early=(), short=(), lost=(), group=None, metric="acc"):
    """One score per value; None leaves the item out."""
    said = [str(one) for one in answers or values]
    return [
        ItemScore(
            item=f"i{n}", name=f"i{n}", group=group or f"item {n}", answer=said[n], target="x",
            cut=n in (*cut, *early), early=n in early, shortened=n in short, lost="gone" if n in lost else "",
            metrics={} if n in lost else {metric: float(value)},
        )
        for n, value in enumerate(values) if value is not None
    ]  # fmt: skip


def compared(reference, candidate, control=None, *, heads=None, checks=None, alpha=0.05):
    found = compare_tasks(heads or [head()], {"t": reference}, {"t": candidate}, None if control is None else {"t": control},
                          checks or {}, alpha, 0)  # fmt: skip
    return found.tasks[0], found


def test_the_flip_table_counts_every_item_once():
    """Both right, both wrong, lost, won; the loss is the difference of the means."""
    task, facts = compared(scores([1, 1, 1, 0, 0]), scores([1, 0, 0, 1, 0]))
    assert (task.both_right, task.both_wrong, task.right_to_wrong, task.wrong_to_right) == (1, 1, 2, 1)
    assert (task.items, task.loss) == (5, pytest.approx(0.2))
    assert task.reference - task.candidate == pytest.approx(task.loss)
    assert facts.pooled.items == 5
    assert [flip.kind for flip in facts.examples] == ["right to wrong", "right to wrong", "wrong to right"]


def test_items_are_joined_by_name_and_not_by_place():
    """An item that the candidate lacks is lost, not shifted onto the next one."""
    task, _ = compared(scores([1, 0, 1]), scores([1, None, 1])[::-1])
    assert (task.items, task.lost_candidate, task.right_to_wrong, task.wrong_to_right) == (2, 1, 0, 0)


def test_lost_items_count_neither_as_right_nor_as_wrong():
    """On either side."""
    task, _ = compared(scores([1, 1, 0], lost=[0]), scores([0, 0, 0], lost=[1]))
    assert (task.items, task.lost_reference, task.lost_candidate) == (1, 1, 1)


def test_where_less_is_better_a_rise_is_a_loss():
    """The sign follows the task's own word."""
    task, _ = compared(scores([0, 0]), scores([1, 0]), heads=[head(higher_is_better={"acc": False})])
    assert (task.right_to_wrong, task.wrong_to_right, task.loss) == (1, 0, 0.5)


def test_scores_that_are_not_right_or_wrong_are_told_and_not_judged():
    """With an interval, and without a p-value; they take no part in the pool."""
    task, facts = compared(scores([0.5, 0.25, 0.75]), scores([0.25, 0.25, 0.5]))
    assert math.isnan(task.worse)
    assert not task.judged
    assert task.loss == pytest.approx(1 / 6)
    assert facts.pooled.items == 0


def test_the_metric_is_the_first_that_every_item_has():
    """A declared metric without numbers per item is passed over."""
    reference = scores([1, 0], metric="other")
    task, _ = compared(reference, scores([0, 0], metric="other"), heads=[head(metrics=("perplexity", "other"))])
    assert (task.metric, task.right_to_wrong) == ("other", 1)
    task, _ = compared(scores([1], metric="odd"), scores([1], metric="odd"), heads=[head(metrics=("acc",))])
    assert task.metric == "odd"


def test_churn_is_held_against_the_controls_on_the_same_items():
    """An exact one-sided paired test: answers that only the candidate changes, and those that only the control does."""
    same, new = ["a"] * 12, ["b"] * 12
    reference, candidate = scores([1] * 12, answers=same), scores([1] * 12, answers=new)
    task, _ = compared(reference, candidate, scores([1] * 12, answers=["b", *same[1:]]))
    assert (task.churned, task.churned_control, task.churn_only, task.control_only) == (12, 1, 11, 0)
    assert task.churn_p == pytest.approx(0.5**11)
    task, _ = compared(reference, candidate)
    assert (task.churned_control, math.isnan(task.churn_p)) == (-1, True)
    task, _ = compared(reference, reference, candidate)
    assert task.churn_p == 1.0


def test_replies_that_were_cut_are_told_apart():
    """Their losses stand in a column of their own, and the p-value without those that were cut too early, too."""
    task, _ = compared(scores([1] * 8), scores([0] * 8, early=range(7)))
    assert (task.right_to_wrong, task.right_to_cut, task.cut_candidate, task.early_candidate) == (8, 7, 7, 7)
    assert task.worse == pytest.approx(0.5**8)
    assert task.high_whole > 0.6  # one item is left
    task, _ = compared(scores([1] * 8), scores([0] * 8, cut=range(7)))
    assert (task.right_to_cut, task.early_candidate, task.high_whole) == (7, 0, task.high)


def test_tasks_share_their_error_by_holm_and_vacuous_ones_do_not_count():
    """A metric that cannot fail takes no part, neither in the adjustment nor in the pool."""
    good, bad = scores([1] * 8), scores([0] * 8)
    names = ("t", "u", "v")
    vacuous = SelfCheck(task="v", metric="acc", items=8, failed=0, passed=0, passable=False)
    facts = compare_tasks([head(name) for name in names], dict.fromkeys(names, good), {"t": bad, "u": good, "v": bad}, None,
                          {"v": vacuous}, 0.05, 0)  # fmt: skip
    assert [task.holm for task in facts.tasks[:2]] == pytest.approx([2 * 0.5**8, 1.0])
    assert math.isnan(facts.tasks[2].holm)
    assert facts.pooled.items == 16
    assert facts.pooled.groups == 8


def test_groups_of_two_tasks_are_not_one_group():
    """A passage of one task and a passage of another may have the same name."""
    one = scores([1, 1, 1, 1], group="g")
    facts = compare_tasks([head("t"), head("u")], {"t": one, "u": one}, {"t": one, "u": one}, None, {}, 0.05, 0)
    assert facts.pooled.groups == 2


def test_a_task_on_which_the_reference_is_hardly_ever_right_shows_nothing():
    """What is wrong already cannot be lost: it takes part neither in the pool nor in the adjustment."""
    task, facts = compared(scores([1] + [0] * 40), scores([1] + [0] * 40))
    assert "too seldom" in task.note
    assert (task.judged, facts.pooled.items) == (False, 0)


def test_items_whose_prompt_lost_its_beginning_are_left_out():
    """On either side; those of the candidate alone are told apart."""
    task, _ = compared(scores([1, 1, 1], short=[0]), scores([1, 0, 0], short=[0, 1]))
    assert (task.items, task.shortened, task.shortened_candidate, task.right_to_wrong) == (1, 2, 1, 1)


def test_a_loss_that_the_control_has_too_is_not_the_candidates():
    """The p-value is the larger of those against the reference and against the control."""
    worse = scores([0] * 10 + [1] * 10)
    alone, _ = compared(scores([1] * 20), worse, scores([1] * 20))
    shared, _ = compared(scores([1] * 20), worse, worse)
    assert alone.worse == pytest.approx(0.5**10)
    assert shared.worse == 1.0


def test_the_same_documents_in_two_tasks_are_one_group():
    """Items without a group of their own are grouped by their content in the pool."""
    one = scores([1] * 8)
    facts = compare_tasks([head("t"), head("u")], {"t": one, "u": one}, {"t": one, "u": one}, None, {}, 0.05, 0)
    assert (facts.pooled.items, facts.pooled.groups) == (16, 8)


def test_churn_of_whole_groups_counts_once():
    """Answers of one passage that change together are one change."""
    same, new = ["a"] * 12, ["b"] * 12
    reference, candidate = scores([1] * 12, answers=same, group="g"), scores([1] * 12, answers=new, group="g")
    task, _ = compared(reference, candidate, scores([1] * 12, answers=same, group="g"))
    assert task.churn_p == 0.5


def written(item, text, sure=0.9):
    """A reply of one-character tokens; the reference was as sure of all of them."""
    ends = tuple(range(1, len(text) + 1))
    return ItemScore(item=item, name=item, group=f"item {item}", answer=text, target="x", metrics={"acc": 1.0}, text=text,
                     ends=ends, margins=(sure,) * len(text))  # fmt: skip


def test_replies_are_held_against_each_other_up_to_the_first_token_that_differs():
    """With the reference's margin there: a close call says little, a sure one was overturned."""
    reference = [written("a", "abcd"), written("b", "abcd", sure=0.01), written("c", "abcd"), written("d", "ab")]
    candidate = [written("a", "abxx"), written("b", "xbcd"), written("c", "abcd"), written("d", "abcd")]
    task, facts = compared(reference, candidate, reference)
    assert (task.texts.of, task.texts.same, task.texts.sure) == (4, 1, 1)
    assert task.texts.prefix == 2.0
    assert (task.texts_control.same, task.texts_control.sure) == (4, 0)
    assert {(flip.item, flip.token) for flip in facts.examples} == {("a", 2), ("b", 0), ("d", 2)}
    task, _ = compared(scores([1, 0]), scores([1, 1]))
    assert (task.texts.of, math.isnan(task.texts.prefix)) == (0, True)
