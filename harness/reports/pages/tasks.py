"""The page of a run of tasks or tool calls: who lost what, with the answers themselves, and what the numbers rest on."""

from __future__ import annotations

import math

from harness.reports.pages.frame import page
from harness.reports.task_card import TaskCard
from harness.reports.tool_card import TITLES, share_text, told
from harness.verdicts.catalogue import entry


def render_tasks(card: TaskCard) -> str:
    """The page as text."""
    return page(
        "tasks.html.j2", card=card, entry=entry, finite=math.isfinite, checks={one.task: one for one in card.checks},
        tools=any(one.tools for one in card.candidates), titles=TITLES, share=share_text, told=told,
    )  # fmt: skip
