"""The page of a task run: who lost what, with the answers themselves, and what the numbers rest on."""

from __future__ import annotations

import math

from harness.reports.html import page
from harness.reports.task_card import TaskCard
from harness.verdicts.catalogue import entry


def render_tasks(card: TaskCard) -> str:
    """The page as text."""
    return page(
        "tasks.html.j2", card=card, entry=entry, finite=math.isfinite, checks={one.task: one for one in card.checks}
    )
