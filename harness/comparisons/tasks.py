"""The same items on both sides: who was right, who changed the answer, who lost. Pure.

A *flip* is an item that only one side answered rightly. *Churn* is an item whose answer differs, right or wrong: distance without
a sign. Harm is judged by flips alone; churn is held against that of an honest control on the same items.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from harness.comparisons.model import Result
from harness.evidence.clustered import Floats, Ints
from harness.evidence.multiplicity import holm
from harness.evidence.paired import bootstrap_difference, mcnemar, paired_loss, smallest_loss
from harness.suites.scores import ItemScore, SelfCheck, TaskHead

_EXAMPLES = 5
_SHOWN = 300  # characters of an answer in an example


class Flip(Result):
    """An item whose answer differs."""

    task: str
    item: str
    kind: str  # "right to wrong", "wrong to right", "right to cut" or "both wrong"
    target: str
    reference: str
    candidate: str


class TaskResult(Result):
    """One task, or all of them together (``pooled``). Shares are of ``items``, which both sides answered.

    ``worse`` is the one-sided p-value of "no worse", ``holm`` the same after Holm's adjustment over tasks. ``smallest`` is the
    loss that would have been found with 80 % power. Where scores are not right or wrong there are neither flips nor p.
    """

    task: str
    metric: str
    items: int
    groups: int
    effective: float
    lost_reference: int  # items without an answer of the reference
    lost_candidate: int
    cut_reference: int  # replies that ended for their length
    cut_candidate: int
    early_candidate: int  # of these, before the limit that was asked for
    reference: float  # mean score
    candidate: float
    both_right: int
    both_wrong: int
    right_to_wrong: int
    wrong_to_right: int
    right_to_cut: int  # of right_to_wrong: the candidate's reply ended for its length
    loss: float
    low: float
    high: float
    worse: float
    worse_whole: float  # without items of which a reply was cut before the limit that was asked for
    mid: float
    holm: float
    smallest: float
    churned: int
    churned_control: int  # -1 where no control was asked
    churn_only: int  # items whose answer differs for the candidate and not for the control
    control_only: int
    churn_p: float
    control_loss: float
    vacuous: str
    note: str

    @property
    def judged(self) -> bool:
        """Whether this task takes part in the verdict."""
        return self.items > 0 and not self.vacuous and not math.isnan(self.worse)


class TaskFacts(Result):
    """All tasks of one candidate."""

    tasks: tuple[TaskResult, ...]
    pooled: TaskResult
    alpha: float
    examples: tuple[Flip, ...]


Scores = Mapping[str, Sequence[ItemScore]]


def compare_tasks(
    heads: Sequence[TaskHead],
    reference: Scores,
    candidate: Scores,
    control: Scores | None,
    checks: Mapping[str, SelfCheck],
    alpha: float,
    seed: int,
) -> TaskFacts:
    """Hold a candidate's scores against the reference's, item by item, joined by task and item."""
    rows = [_Row.of(head, reference, candidate, control, checks) for head in heads]
    results = [row.result(alpha, seed) for row in rows]
    judged = [place for place, one in enumerate(results) if one.judged]
    for place, adjusted in zip(judged, holm([results[place].worse for place in judged]), strict=True):
        results[place] = results[place].model_copy(update={"holm": float(adjusted)})
    pooled = _Row.pool([rows[place] for place in judged]).result(alpha, seed)
    examples = [flip for row in rows for flip in row.examples()]
    return TaskFacts(tasks=tuple(results), pooled=pooled, alpha=alpha, examples=tuple(examples))


def metric_of(head: TaskHead, scores: Sequence[ItemScore]) -> str:
    """The metric that decides: the first declared one, or else the first at all, that every answered item has."""
    answered = [one for one in scores if not one.lost]
    shared = set.intersection(*(set(one.metrics) for one in answered)) if answered else set()
    return next((name for name in (*head.metrics, *sorted(shared)) if name in shared), "")


class _Row:
    """The items of one task that both sides answered, as arrays."""

    def __init__(self, task: str, metric: str, pairs: list[_Pair], lost: tuple[int, int], vacuous: str) -> None:
        self.task, self.metric, self.pairs, self.lost, self.vacuous = task, metric, pairs, lost, vacuous

    @classmethod
    def of(
        cls,
        head: TaskHead,
        reference: Scores,
        candidate: Scores,
        control: Scores | None,
        checks: Mapping[str, SelfCheck],
    ) -> _Row:
        """Join by item; items that a side did not answer are counted and left out."""
        name = head.name
        metric = metric_of(head, reference.get(name, ()))
        theirs = {one.item: one for one in candidate.get(name, ())}
        controls = {one.item: one for one in control.get(name, ())} if control is not None else {}
        sign = 1.0 if head.higher_is_better.get(metric, True) else -1.0
        pairs, lost = [], [0, 0]
        for one in reference.get(name, ()):
            other = theirs.get(one.item)
            gone = (bool(one.lost), other is None or bool(other.lost) or metric not in other.metrics)
            lost = [lost[0] + gone[0], lost[1] + gone[1]]
            if metric and not any(gone):
                assert other is not None
                pairs.append(_Pair(name, one, other, controls.get(one.item), metric, sign))
        check = checks.get(name)
        return cls(name, metric, pairs, (lost[0], lost[1]), check.vacuous if check else "")

    @classmethod
    def pool(cls, rows: Sequence[_Row]) -> _Row:
        """All items of several tasks, each as one item."""
        lost = (sum(row.lost[0] for row in rows), sum(row.lost[1] for row in rows))
        return cls("all tasks", "", [pair for row in rows for pair in row.pairs], lost, "")

    @property
    def binary(self) -> bool:
        """Whether scores are right or wrong."""
        return all({pair.before, pair.after} <= {0.0, 1.0} for pair in self.pairs)

    def examples(self) -> list[Flip]:
        """Some flips for reading, losses first."""
        flips = sorted((pair.flip() for pair in self.pairs if pair.churned), key=lambda flip: _ORDER.index(flip.kind))
        return flips[:_EXAMPLES]

    def result(self, alpha: float, seed: int) -> TaskResult:
        """The numbers of this row."""
        before = np.array([pair.before for pair in self.pairs])
        after = np.array([pair.after for pair in self.pairs])
        labels = {group: number for number, group in enumerate(dict.fromkeys(pair.group for pair in self.pairs))}
        groups = np.array([labels[pair.group] for pair in self.pairs], dtype=np.int64)
        whole = np.array([not pair.early for pair in self.pairs], dtype=bool)
        shared = {
            "task": self.task, "metric": self.metric, "items": len(self.pairs), "groups": len(labels),
            "lost_reference": self.lost[0], "lost_candidate": self.lost[1],
            "cut_reference": sum(pair.reference.cut for pair in self.pairs),
            "cut_candidate": sum(pair.candidate.cut for pair in self.pairs),
            "early_candidate": sum(pair.candidate.early for pair in self.pairs),
            "reference": _mean(before), "candidate": _mean(after), "vacuous": self.vacuous, **self._churn(),
        }  # fmt: skip
        judged = (
            _flips(before, after, groups, whole, self.pairs, alpha)
            if self.binary
            else _scores(before, after, groups, seed)
        )
        return TaskResult.model_validate(shared | judged)

    def _churn(self) -> dict[str, float | int]:
        """Answers that differ, and McNemar's test of whether they are more than those of the control, one-sided."""
        churned = sum(pair.churned for pair in self.pairs)
        known = [pair for pair in self.pairs if pair.control is not None and not pair.control.lost]
        if not known:
            return {"churned": churned, "churned_control": -1, "churn_only": 0, "control_only": 0, "churn_p": math.nan,
                    "control_loss": math.nan}  # fmt: skip
        only = sum(pair.churned and not pair.control_churned for pair in known)
        theirs = sum(pair.control_churned and not pair.churned for pair in known)
        exact = mcnemar(theirs, only).exact / 2 if only > theirs else 1.0
        return {
            "churned": churned, "churned_control": sum(pair.control_churned for pair in known), "churn_only": only,
            "control_only": theirs, "churn_p": exact,
            "control_loss": float(np.mean([pair.before - pair.controlled for pair in known])),
        }  # fmt: skip


_ORDER = ("right to wrong", "right to cut", "wrong to right", "both wrong", "both right")


class _Pair:
    """One item as both sides answered it; scores are turned so that more is better."""

    def __init__(
        self, task: str, reference: ItemScore, candidate: ItemScore, control: ItemScore | None, metric: str, sign: float
    ) -> None:
        self.task, self.reference, self.candidate, self.control = task, reference, candidate, control
        self.before, self.after = sign * reference.metrics[metric], sign * candidate.metrics[metric]
        known = control is not None and metric in control.metrics
        self.controlled = sign * control.metrics[metric] if control and known else self.before
        self.group = f"{task}|{reference.group}"
        self.churned = reference.answer != candidate.answer
        self.control_churned = control is not None and reference.answer != control.answer
        self.early = reference.early or candidate.early

    def flip(self) -> Flip:
        """This item for reading."""
        kind = {(1.0, 0.0): "right to wrong", (0.0, 1.0): "wrong to right", (1.0, 1.0): "both right"}.get(
            (self.before, self.after), "both wrong"
        )
        if kind == "right to wrong" and self.candidate.cut:
            kind = "right to cut"
        return Flip(
            task=self.task, item=self.reference.item, kind=kind, target=self.reference.target[:_SHOWN],
            reference=self.reference.answer[:_SHOWN], candidate=self.candidate.answer[:_SHOWN],
        )  # fmt: skip


def _flips(
    before: Floats,
    after: Floats,
    groups: Ints,
    whole: np.ndarray[tuple[int], np.dtype[np.bool_]],
    pairs: Sequence[_Pair],
    alpha: float,
) -> dict[str, float | int | str]:
    """Right-or-wrong scores: the flip table and its tests."""
    loss = paired_loss(before, after, groups)
    kept = paired_loss(before[whole], after[whole], np.unique(groups[whole], return_inverse=True)[1])
    churn = (loss.lost + loss.won) / loss.items if loss.items else math.nan
    smallest = (
        smallest_loss(loss.effective, 2 * min(loss.lost, loss.won) / loss.items, alpha) if loss.items else math.nan
    )
    note = ""
    if loss.items and before.mean() < smallest:
        note = "the reference is right so seldom that the smallest loss that would be found is more than it could lose"
    return {
        "effective": loss.effective, "both_right": int(((before == 1) & (after == 1)).sum()),
        "both_wrong": int(((before == 0) & (after == 0)).sum()), "right_to_wrong": loss.lost, "wrong_to_right": loss.won,
        "right_to_cut": sum(pair.before > pair.after and pair.candidate.cut for pair in pairs), "loss": loss.value,
        "low": loss.low, "high": loss.high, "worse": loss.worse if loss.items else math.nan, "worse_whole": kept.worse,
        "mid": mcnemar(loss.lost, loss.won).mid, "holm": math.nan, "smallest": smallest,
        "note": note if not math.isnan(churn) else "no item was answered by both sides",
    }  # fmt: skip


def _scores(before: Floats, after: Floats, groups: Ints, seed: int) -> dict[str, float | int | str]:
    """Scores of any size: a difference with a clustered bootstrap interval, and no verdict."""
    loss, low, high = bootstrap_difference(before - after, groups, seed)
    return {
        "effective": float(len(set(groups.tolist()))), "both_right": 0, "both_wrong": 0, "right_to_wrong": 0,
        "wrong_to_right": 0, "right_to_cut": 0, "loss": loss, "low": low, "high": high, "worse": math.nan,
        "worse_whole": math.nan, "mid": math.nan, "holm": math.nan, "smallest": math.nan,
        "note": "scores are not right or wrong: told, and not judged",
    }  # fmt: skip


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else math.nan
