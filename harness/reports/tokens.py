"""Every scored token of a run: what the page searches, and what CSV and Parquet hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.comparisons.table import TokenTable
from harness.observations.journal import Journal
from harness.redact import safe_line
from harness.reports.stored import table_of

END = "(end)"


@dataclass(frozen=True)
class TokenSheet:
    """The rows of one candidate."""

    label: str
    table: TokenTable


@dataclass(frozen=True)
class Tokens:
    """All candidates that were scored, and the text of the ids that occur (as one token decodes alone)."""

    sheets: tuple[TokenSheet, ...] = ()
    pieces: dict[str, str] | None = None

    def piece(self, token: int, limit: int = 24) -> str:
        """The text of an id, made harmless; ``id 17`` where it is not known."""
        if token < 0:
            return END
        return safe_line((self.pieces or {}).get(str(token), f"id {token}"), limit)


def tokens_of(journal: Journal) -> Tokens:
    """What a stored run, finished or not, holds of its candidates; one that is judged under two claims comes once."""
    plan = journal.plan
    sheets = []
    for planned in plan.role("candidate"):
        table = table_of(journal, plan, planned, partial=journal.manifest.status != "complete")
        if table is not None:
            sheets.append(TokenSheet(label=planned.label, table=table))
    pieces: Any = journal.noted("pieces", "all")
    return Tokens(tuple(sheets), pieces or {})
