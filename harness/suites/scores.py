"""What is told of a task, and how a target did on its items."""

from __future__ import annotations

from harness.suites.model import Frozen


class TaskHead(Frozen):
    """What is told of a task; the first of ``metrics`` that has a number per item decides."""

    name: str
    version: str
    kind: str  # lm-eval's output type
    metrics: tuple[str, ...]
    higher_is_better: dict[str, bool]
    items: int
    limit: int  # tokens of a reply, 0 where none is written


class ItemScore(Frozen):
    """How one target did on one item. ``metrics`` are lm-eval's own; ``answer`` is the choice or the filtered text.

    ``cut`` says that the reply ended for its length, ``early`` that it did so before the limit that was asked for, ``lost`` why
    the item was not answered.
    """

    item: str
    group: str  # items of one group share a document: they are not independent
    answer: str
    target: str
    metrics: dict[str, float]
    cut: bool = False
    early: bool = False
    lost: str = ""


class SelfCheck(Frozen):
    """What became of a task's metric on records that were made to fail it, and on records that were made to pass it.

    ``failed`` and ``passed`` count items that did; ``passable`` is false where no right answer could be made.
    """

    task: str
    items: int
    failed: int
    passed: int
    passable: bool

    @property
    def vacuous(self) -> str:
        """Why the metric says nothing here; empty if it can fail."""
        if self.passable and not self.passed:
            return "answers that were made to pass and answers that were made to fail get the same score"
        if not self.failed:
            return "no answer that was made to fail was counted as wrong: this metric cannot fail on these items"
        return ""
