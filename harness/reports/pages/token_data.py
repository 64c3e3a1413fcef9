"""The tokens that a page carries: the ones that moved most, in columns of small integers so that 20,000 stay small."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable

import numpy as np

from harness.evidence.clustered import Ints
from harness.prompts.sequences import SEGMENTS
from harness.redact import safe_line
from harness.reports.tokens import Tokens, TokenSheet

MOST_ROWS = 20_000
#: Values are kept as their logarithm in steps of 0.05 %, so three digits are exact; 0 stands for zero, 65,535 for unknown.
LOW, HIGH, STEPS = math.log(1e-12), math.log(1e3), 65_533


def kept_rows(tokens: Tokens) -> int:
    """How many rows of these fit into a page."""
    share = MOST_ROWS // max(len(tokens.sheets), 1)
    return sum(min(len(sheet.table.rows), share) for sheet in tokens.sheets)


def token_data(tokens: Tokens) -> dict[str, object]:
    """What tokens.js reads; ``kept`` and ``of`` say how many rows there are and how many there were."""
    share = MOST_ROWS // max(len(tokens.sheets), 1)
    items: dict[tuple[str, str], int] = {}
    pieces: dict[str, int] = {}
    sheets = [_sheet(sheet, tokens, share, items, pieces) for sheet in tokens.sheets]
    return {
        "low": LOW,
        "step": (HIGH - LOW) / STEPS,
        "segments": SEGMENTS,
        "items": [[safe_line(name, 60), safe_line(domain, 40)] for name, domain in items],
        "pieces": list(pieces),
        "sheets": sheets,
    }


def _sheet(
    sheet: TokenSheet, tokens: Tokens, most: int, items: dict[tuple[str, str], int], pieces: dict[str, int]
) -> dict[str, object]:
    table = sheet.table
    kl = np.nan_to_num(table.column("kl_ref_cand"), nan=math.inf)  # what could not be read comes first
    kept = np.sort(np.argsort(-kl, kind="stable")[:most])
    rows, owner = table.rows[kept], table.owner[kept]
    places = {
        int(index): items.setdefault((table.sequences[index].key, table.sequences[index].domain), len(items))
        for index in np.unique(owner)
    }

    def place(token: int) -> int:
        return pieces.setdefault(tokens.piece(token), len(pieces))

    columns = {
        "item": _mapped(owner, lambda index: places[index]),
        "position": rows["position"],
        "segment": rows["segment"],
        "label": _mapped(rows["label"], place),
        "ref": _mapped(rows["top1_ref"], place),
        "cand": _mapped(rows["top1_cand"], place),
        "agree": rows["agree"],
        "kl": _coded(table.column("kl_ref_cand")[kept]),
        "pref": _coded(np.exp(-table.column("nll_ref")[kept])),
        "pcand": _coded(np.exp(-table.column("nll_cand")[kept])),
    }
    return {
        "label": safe_line(sheet.label, 80),
        "kept": len(kept),
        "of": len(table.rows),
        "columns": {name: _packed(column) for name, column in columns.items()},
    }


def _mapped(values: Ints, of: Callable[[int], int]) -> Ints:
    known, inverse = np.unique(values, return_inverse=True)
    places = np.array([of(int(value)) for value in known], dtype=np.int64)
    found: Ints = np.take(places, inverse)
    return found


def _coded(values: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = 1 + np.rint((np.clip(np.log(values), LOW, HIGH) - LOW) / (HIGH - LOW) * STEPS)
    steps[values <= 0] = 0
    steps[np.isnan(values)] = 65_535
    coded: Ints = steps.astype(np.int64)
    return coded


def _packed(column: np.ndarray) -> list[object]:
    """Bytes per value and little-endian base64."""
    width = 2 if not len(column) or int(column.max()) < 65_536 else 4
    return [width, base64.b64encode(column.astype(f"<u{width}").tobytes()).decode()]
