"""The index of published runs: models against candidates, with verdicts per axis, numbers and dates."""

from __future__ import annotations

import math
from urllib.parse import quote

from harness.comparisons.model import Result
from harness.reports.pages.frame import page
from harness.verdicts.model import Outcome

_AXES = ("integrity", "identity", "displacement", "texts", "harm")


class Line(Result):
    """One candidate of one run."""

    kind: str
    run: str
    reference: str
    candidate: str
    claim: str
    outcome: Outcome
    cause: str
    axes: dict[str, str]
    told: str  # the number that says most, with its interval
    size: float  # mean KL where there is one, to sort by; NaN elsewhere

    @property
    def date(self) -> str:
        """The day of the run, as people write it."""
        return f"{self.run[:4]}-{self.run[4:6]}-{self.run[6:8]}" if self.run[:8].isdecimal() else "unknown"


def render_index(title: str, lines: list[Line], archives: dict[str, str]) -> str:
    """The page as text; ``archives`` are the paths of raw observations by run."""
    shown = [axis for axis in _AXES if any(axis in line.axes for line in lines)]
    return page(
        "index.html.j2", "index.js", title=title, lines=lines, axes=shown, archives=archives, link=quote,
        finite=math.isfinite, runs=len({line.run for line in lines}),
    )  # fmt: skip
