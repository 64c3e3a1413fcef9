"""What vendors' own verifiers write down: one pass over their prompts, as counts and, where kept, row by row."""

from __future__ import annotations

from pydantic import Field

from harness.suites.model import Frozen


class Tally(Frozen):
    """``right`` of ``of``; ``most`` is the largest that ``right`` can become, where some can never count."""

    right: int
    of: int
    most: int


class VendorRow(Frozen):
    """One answer. ``finish`` is as the host said it; ``reasoning`` the fields that held reasoning.

    ``prompt`` is a digest of what was asked, model and sampling aside: rows of two files are held against each other by it.
    """

    item: str
    finish: str
    calls: int
    valid: bool | None  # whether all calls fit their schemas, None where none were made
    expected: bool | None  # whether a call was wanted
    reasoning: tuple[str, ...] = ()
    prompt: str = ""
    reasoning_only: bool = False  # neither text nor calls beside it, whatever the field is called
    failed: str = ""


class VendorLoop(Frozen):
    """One pass. ``tallies`` by metric; ``calls`` is the number of tool calls in all of it, -1 where it is not told."""

    source: str  # file
    form: str  # minimax, k2 or kimi-schema
    model: str
    tallies: dict[str, Tally]
    calls: int = -1
    finishes: dict[str, int] = Field(default_factory=dict)
    positives: int = -1  # answers that called a tool
    hits: int = -1  # of these, where a call was wanted
    wanted: int = -1  # prompts that want a call and were judged
    rows: tuple[VendorRow, ...] = ()
    note: str = ""  # what a reader of its rates has to know
