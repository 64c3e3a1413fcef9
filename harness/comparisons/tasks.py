"""The same items on both sides: who was right, who changed the answer, who lost. Pure.

A *flip* is an item that only one side answered rightly. *Churn* is an item whose answer differs, right or wrong: distance without
a sign. Harm is judged by flips alone; churn is held against that of an honest control on the same items.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from harness.comparisons.model import Result
from harness.evidence.clustered import Floats, Ints, cluster_sums
from harness.evidence.multiplicity import holm
from harness.evidence.paired import bootstrap_difference, mcnemar, paired_loss, sign_flips, smallest_loss
from harness.suites.scores import ItemScore, SelfCheck, TaskHead, metric_of

#: Share of right answers of the reference under which a task shows nothing: what is wrong already cannot be lost.
ROOM = 0.1
#: Margin, in probability, from which on the reference is sure of its token.
SURE = 0.1
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
    token: int = -1  # of the reference's reply, from 0: the first that differs; -1 where none was written
    margin: float = math.nan  # how sure the reference was of it, in probability


class Divergence(Result):
    """Greedy replies beside the reference's: ``same`` of ``of`` are the same to the last character.

    Of the others ``prefix`` is the median number of tokens before the first that differs, and ``sure`` counts those at which the
    reference preferred its own token by at least ``SURE`` in probability: rounding alone does not turn these over.
    """

    of: int = 0
    same: int = 0
    prefix: float = math.nan
    sure: int = 0


class TaskResult(Result):
    """One task, or all of them together (``pooled``). Shares are of ``items``, which both sides answered.

    ``worse`` is the one-sided p-value of "no worse", than the reference and than the honest control, the larger of the two;
    ``holm`` the same after Holm's adjustment over tasks. ``smallest`` is the
    loss that would have been found with 80 % power. Where scores are not right or wrong there are neither flips nor p.
    """

    task: str
    metric: str
    items: int
    groups: int
    effective: float
    lost_reference: int  # items without an answer of the reference
    lost_candidate: int
    lost_both: int  # of these: items that neither side answered
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
    high_whole: (
        float  # upper end of the loss without items of which a reply was cut before the limit that was asked for
    )
    mid: float
    holm: float
    smallest: float
    churned: int
    churned_control: int  # -1 where no control was asked
    churn_only: int  # items whose answer differs for the candidate and not for the control
    control_only: int
    churn_p: float  # after Holm's adjustment over tasks
    shortened: int  # items whose prompt lost its beginning on either side; they are left out
    shortened_candidate: int  # of these, on the candidate's side alone
    texts: Divergence  # replies that were written, beside the reference's
    texts_control: Divergence
    vacuous: str
    note: str
    part_of: str = ""  # the task that this one is an aspect of; it is judged, but its items are not counted again

    @property
    def roomy(self) -> bool:
        """Whether the reference is right often enough that something can be lost."""
        return self.reference >= ROOM

    @property
    def judged(self) -> bool:
        """Whether this task takes part in the verdict."""
        return self.items > 0 and not self.vacuous and not math.isnan(self.worse) and self.roomy


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
    single = alpha / 2 / max(len(rows), 1)  # what Holm grants the first of several tasks
    results = [row.result(single, seed) for row in rows]
    judged = [place for place, one in enumerate(results) if one.judged]
    _adjust(results, judged, "worse", "holm")
    _adjust(results, [place for place, one in enumerate(results) if not math.isnan(one.churn_p)], "churn_p", "churn_p")
    pooled = _Row.pool([rows[place] for place in judged if not rows[place].part_of]).result(alpha / 2, seed)
    examples = [flip for row in rows if not row.part_of for flip in row.examples()]
    return TaskFacts(tasks=tuple(results), pooled=pooled, alpha=alpha, examples=tuple(examples))


def _adjust(results: list[TaskResult], places: Sequence[int], source: str, field: str) -> None:
    """Put Holm's adjustment of a p-value over some of the tasks into a field."""
    adjusted = holm([getattr(results[place], source) for place in places]).tolist()
    for place, value in zip(places, adjusted, strict=True):
        results[place] = results[place].model_copy(update={field: value})


class _Row:
    """The items of one task that both sides answered, as arrays."""

    def __init__(
        self, task: str, metric: str, pairs: list[_Pair], left_out: _LeftOut, vacuous: str, part_of: str = ""
    ) -> None:
        self.task, self.metric, self.pairs, self.left_out = task, metric, pairs, left_out
        self.vacuous, self.part_of = vacuous, part_of

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
        better = head.higher_is_better.get(metric, True)
        pairs, out = [], _LeftOut()
        for one in reference.get(name, ()):
            other = theirs.get(one.item)
            gone = (bool(one.lost), other is None or bool(other.lost) or metric not in other.metrics)
            short = (one.shortened, other is not None and other.shortened)
            if any(gone) or not metric:
                out += _LeftOut(reference=int(gone[0]), candidate=int(gone[1]), both=int(all(gone)))
            elif any(short):
                out += _LeftOut(shortened=1, shortened_candidate=int(short[1] and not short[0]))
            else:
                assert other is not None
                pairs.append(_Pair(name, one, other, controls.get(one.item), metric, better=better))
        check = checks.get(name)
        return cls(name, metric, pairs, out, check.vacuous if check else "", head.part_of)

    @classmethod
    def pool(cls, rows: Sequence[_Row]) -> _Row:
        """All items of several tasks, each as one item."""
        return cls(
            "all tasks",
            "",
            [pair for row in rows for pair in row.pairs],
            sum((row.left_out for row in rows), _LeftOut()),
            "",
        )

    @property
    def binary(self) -> bool:
        """Whether scores are right or wrong."""
        return all({pair.before, pair.after} <= {0.0, 1.0} for pair in self.pairs)

    def examples(self) -> list[Flip]:
        """Some flips for reading, losses first."""
        flips = sorted((pair.flip() for pair in self.pairs if pair.churned), key=lambda flip: _ORDER.index(flip.kind))
        return flips[:_EXAMPLES]

    def result(self, level: float, seed: int) -> TaskResult:
        """The numbers of this row; ``level`` is the error rate at which its loss is judged."""
        before, after = (
            np.array([getattr(pair, side) for pair in self.pairs], dtype=np.float64) for side in ("before", "after")
        )
        groups = self._groups(self.pairs)
        shared = {
            "task": self.task, "metric": self.metric, "items": len(self.pairs), "groups": len(set(groups.tolist())),
            "lost_reference": self.left_out.reference, "lost_candidate": self.left_out.candidate,
            "lost_both": self.left_out.both,
            "shortened": self.left_out.shortened, "shortened_candidate": self.left_out.shortened_candidate,
            "cut_reference": sum(pair.reference.cut for pair in self.pairs),
            "cut_candidate": sum(pair.candidate.cut for pair in self.pairs),
            "early_candidate": sum(pair.candidate.early for pair in self.pairs),
            "reference": _mean(before), "candidate": _mean(after), "vacuous": self.vacuous, "part_of": self.part_of,
            **self._churn(),
            "texts": _divergence([(pair.reference, pair.candidate) for pair in self.pairs]),
            "texts_control": _divergence([(pair.reference, pair.control) for pair in self.pairs if pair.control]),
        }  # fmt: skip
        judged = self._flips(before, after, groups, level) if self.binary else _scores(before, after, groups, seed)
        return TaskResult.model_validate(shared | judged)

    def _groups(self, pairs: Sequence[_Pair]) -> Ints:
        labels = {group: number for number, group in enumerate(dict.fromkeys(pair.group for pair in pairs))}
        return np.array([labels[pair.group] for pair in pairs], dtype=np.int64)

    def _flips(self, before: Floats, after: Floats, groups: Ints, level: float) -> dict[str, float | int | str]:
        """Right-or-wrong scores: the flip table and its tests."""
        loss = paired_loss(before, after, groups)
        whole = [pair for pair in self.pairs if not pair.early]
        ours, theirs = (np.array([getattr(pair, side) for pair in whole]) for side in ("before", "after"))
        kept = paired_loss(ours, theirs, self._groups(whole))
        worse, smallest, note = math.nan, math.nan, "no item was answered by both sides"
        if loss.items:
            controlled = np.array([pair.controlled for pair in self.pairs])
            worse = max(loss.worse, paired_loss(controlled, after, groups).worse)
            smallest = smallest_loss(loss.effective, 2 * min(loss.lost, loss.won) / loss.items, level)
            note = (
                "" if before.mean() >= ROOM else "the reference is right too seldom for anything to be lost: not judged"
            )
        return {
            "effective": loss.effective, "both_right": int(((before == 1) & (after == 1)).sum()),
            "both_wrong": int(((before == 0) & (after == 0)).sum()), "right_to_wrong": loss.lost,
            "wrong_to_right": loss.won,
            "right_to_cut": sum(pair.before > pair.after and pair.candidate.cut for pair in self.pairs), "loss": loss.value,
            "low": loss.low, "high": loss.high, "worse": worse, "high_whole": kept.high,
            "mid": mcnemar(loss.lost, loss.won).mid, "holm": math.nan, "smallest": smallest, "note": note,
        }  # fmt: skip

    def _churn(self) -> dict[str, float | int]:
        """Answers that differ, and whether they are more than the control's: exact sign flips of whole groups, one-sided."""
        churned = sum(pair.churned for pair in self.pairs)
        known = [pair for pair in self.pairs if pair.control is not None and not pair.control.lost]
        if not known:
            return {"churned": churned, "churned_control": -1, "churn_only": 0, "control_only": 0, "churn_p": math.nan}
        net = np.array([float(pair.churned) - float(pair.control_churned) for pair in known])
        return {
            "churned": sum(pair.churned for pair in known), "churned_control": sum(pair.control_churned for pair in known),
            "churn_only": int((net > 0).sum()), "control_only": int((net < 0).sum()),
            "churn_p": sign_flips(cluster_sums(net, self._groups(known)).total),
        }  # fmt: skip


class _LeftOut(Result):
    """Items of a task that are not held against each other."""

    reference: int = 0
    candidate: int = 0
    both: int = 0
    shortened: int = 0
    shortened_candidate: int = 0

    def __add__(self, other: _LeftOut) -> _LeftOut:
        return _LeftOut(**{name: getattr(self, name) + getattr(other, name) for name in type(self).model_fields})


_ORDER = ("right to wrong", "right to cut", "wrong to right", "both wrong", "both right")


class _Pair:
    """One item as both sides answered it; scores are turned so that more is better."""

    def __init__(
        self,
        task: str,
        reference: ItemScore,
        candidate: ItemScore,
        control: ItemScore | None,
        metric: str,
        *,
        better: bool,
    ) -> None:
        self.task, self.reference, self.candidate, self.control = task, reference, candidate, control

        def turned(score: ItemScore) -> float:
            value = score.metrics[metric]
            return value if better else 1.0 - value

        self.before, self.after = turned(reference), turned(candidate)
        self.controlled = turned(control) if control is not None and metric in control.metrics else self.before
        self.group = reference.group if reference.group.startswith("item ") else f"{task} {reference.group}"
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
        token, margin = parting(self.reference, self.candidate) if self.reference.text is not None else (-1, math.nan)
        return Flip(
            token=token, margin=margin, task=self.task, item=self.reference.name, kind=kind,
            target=self.reference.target[:_SHOWN],
            reference=self.reference.answer[:_SHOWN], candidate=self.candidate.answer[:_SHOWN],
        )  # fmt: skip


def _divergence(pairs: Sequence[tuple[ItemScore, ItemScore]]) -> Divergence:
    """Where replies part from the reference's, and how sure it was there; replies that a host cut say nothing of it."""
    written = [
        (ours, theirs)
        for ours, theirs in pairs
        if ours.text is not None and theirs.text is not None and not ours.early and not theirs.early
    ]
    parted = [parting(ours, theirs) for ours, theirs in written if _trimmed(ours) != _trimmed(theirs)]
    tokens = [place for place, _ in parted if place >= 0]
    return Divergence(
        of=len(written), same=len(written) - len(parted), prefix=float(np.median(tokens)) if tokens else math.nan,
        sure=sum(margin >= SURE for _, margin in parted),
    )  # fmt: skip


def _trimmed(one: ItemScore) -> str:
    """A reply without blanks at its ends, which gateways trim."""
    return (one.text or "").strip()


def parting(ours: ItemScore, theirs: ItemScore) -> tuple[int, float]:
    """Tokens of the reference's reply before the first that differs, and its margin there; -1 and NaN if they are not known.

    Texts can be the same beyond the last place at which both have a token's end: the token after that place is the first that
    differs. Where the other side tells no tokens, the less sure of the two that it may be counts.
    """
    leads = [len(one.text or "") - len((one.text or "").lstrip()) for one in (ours, theirs)]
    one, other = (text.text or "" for text in (ours, theirs))
    pairs = zip(one[leads[0] :], other[leads[1] :], strict=False)
    shared = next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one) - leads[0], len(other) - leads[1]))
    if not ours.ends:
        return -1, math.nan
    ends = [end - leads[0] for end in ours.ends]
    if theirs.ends:
        common = {0, *ends} & {0, *(end - leads[1] for end in theirs.ends)}
        shared = max(end for end in common if end <= shared)
    token = next((n for n, end in enumerate(ends) if end > shared), len(ends))
    margin = ours.margins[token] if token < len(ours.margins) else math.nan
    if not theirs.ends and 0 < token <= len(ours.margins) and ends[token - 1] == shared < len(other) - leads[1]:
        margin = float(np.nanmin([margin, ours.margins[token - 1]]))
    return token, margin


def _scores(before: Floats, after: Floats, groups: Ints, seed: int) -> dict[str, float | int | str]:
    """Scores of any size: a difference with a clustered bootstrap interval, and no verdict."""
    loss, low, high = bootstrap_difference(before - after, groups, seed)
    return {
        "effective": float(len(set(groups.tolist()))), "both_right": 0, "both_wrong": 0, "right_to_wrong": 0,
        "wrong_to_right": 0, "right_to_cut": 0, "loss": loss, "low": low, "high": high, "worse": math.nan,
        "high_whole": math.nan, "mid": math.nan, "holm": math.nan, "smallest": math.nan,
        "note": "scores are not right or wrong: told, and not judged",
    }  # fmt: skip


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else math.nan
