"""What is told of a task, and how a target did on its items."""

from __future__ import annotations

from collections.abc import Sequence

from harness.suites.model import Frozen


class TaskHead(Frozen):
    """What is told of a task; the first of ``metrics`` that has a number per item decides."""

    name: str
    version: str
    kind: str  # lm-eval's output type
    metrics: tuple[str, ...]
    higher_is_better: dict[str, bool]
    filter: str  # of lm-eval, by which replies are read before they are scored
    items: int
    limit: int  # tokens of a reply, 0 where none is written
    content: str = ""  # digest of everything that the task asks, expects and scores by
    part_of: str = ""  # the task whose answers it judges again, by one aspect
    dataset: str = ""  # its data's id on the Hugging Face Hub, empty where they come from elsewhere


class ItemScore(Frozen):
    """How one target did on one item. ``metrics`` are lm-eval's own; ``answer`` is the choice or the filtered text.

    ``cut`` says that the reply ended for its length, ``early`` that it did so before the limit that was asked for, ``shortened``
    that the prompt did not fit and lost its beginning, ``lost`` why the item was not answered.
    """

    item: str  # its place in the task's data: unique, and what both sides are joined by
    name: str  # what the data call it
    group: str  # items of one group share a document: they are not independent
    answer: str
    target: str
    metrics: dict[str, float]
    text: str | None = None  # the reply as it was written, where one was
    ends: tuple[int, ...] = ()  # characters of it up to and with each token
    margins: tuple[float, ...] = ()  # p(first) - p(second) at each token
    cut: bool = False
    early: bool = False
    shortened: bool = False
    lost: str = ""


class SelfCheck(Frozen):
    """What became of a task's metric on records that were made to fail it, and on records that were made to pass it.

    ``failed`` and ``passed`` count items that did; ``passable`` is false where no right answer could be made.
    """

    task: str
    metric: str  # the one that decides; empty where no metric has a number per item
    items: int
    failed: int
    passed: int
    passable: bool

    @property
    def vacuous(self) -> str:
        """Why the metric says nothing here; empty if it can fail, or if there is none per item."""
        if not self.metric:
            return ""
        if self.passable and not self.passed:
            return "answers that were made to pass and answers that were made to fail get the same score"
        if not self.failed:
            return "no answer that was made to fail was counted as wrong: this metric cannot fail on these items"
        return ""


def metric_of(head: TaskHead, scores: Sequence[ItemScore]) -> str:
    """The metric that decides: the first declared one, or else the first at all, that every answered item has."""
    answered = [one for one in scores if not one.lost]
    shared = set.intersection(*(set(one.metrics) for one in answered)) if answered else set()
    return next((name for name in (*head.metrics, *sorted(shared)) if name in shared), "")
