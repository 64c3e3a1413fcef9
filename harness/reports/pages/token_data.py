"""The tokens that a page carries: the ones that moved most, in columns of small integers so that 20,000 stay small."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable

import numpy as np

from harness.evidence.clustered import Floats, Ints
from harness.prompts.sequences import SEGMENTS
from harness.redact import safe_line
from harness.reports.tokens import Tokens, TokenSheet

MOST_ROWS = 20_000
#: KL is kept as its logarithm in steps of 0.06 %; 0 stands for zero, 65,534 for infinite, 65,535 for not a number.
LOW, HIGH, STEPS = math.log(1e-12), math.log(1e5), 65_532
#: Probabilities are kept as their log odds from -30 to 30 in steps of 0.001; 0 stands for 0, 65,534 for 1.
ODDS = 30.0
INFINITE, UNKNOWN = 65_534, 65_535


def kept_rows(tokens: Tokens, most: int = MOST_ROWS) -> int:
    """How many rows of these a page of ``most`` rows holds."""
    share = most // max(len(tokens.sheets), 1)
    return sum(min(len(sheet.table.rows), share) for sheet in tokens.sheets)


def token_data(tokens: Tokens, most: int = MOST_ROWS) -> dict[str, object]:
    """What tokens.js reads; ``kept`` and ``of`` say how many rows there are and how many there were."""
    share = most // max(len(tokens.sheets), 1)
    items: dict[tuple[str, str], int] = {}
    pieces: dict[str, int] = {}
    sheets = [_sheet(sheet, tokens, share, items, pieces) for sheet in tokens.sheets]
    return {
        "low": LOW,
        "step": (HIGH - LOW) / STEPS,
        "odds": ODDS,
        "oddsStep": 2 * ODDS / STEPS,
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
        "position": rows["position"] + 1,  # of the token that was predicted
        "segment": rows["segment"],
        "label": _mapped(rows["label"], place),
        "ref": _mapped(rows["top1_ref"], place),
        "cand": _mapped(rows["top1_cand"], place),
        "agree": rows["agree"],
        "kl": _coded(rows["kl_ref_cand"].astype(np.float64)),
        "pref": _odds(rows["nll_ref"].astype(np.float64)),
        "pcand": _odds(rows["nll_cand"].astype(np.float64)),
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


def _coded(values: Floats) -> Ints:
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = 1 + np.rint((np.clip(np.log(values), LOW, HIGH) - LOW) / (HIGH - LOW) * STEPS)
    steps[values <= 0] = 0
    steps[np.isinf(values)] = INFINITE
    steps[np.isnan(values)] = UNKNOWN
    coded: Ints = steps.astype(np.int64)
    return coded


def _odds(loss: Floats) -> Ints:
    """Codes of the probabilities exp(-loss); near 1 the distance to 1 keeps its digits."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        odds = -loss - np.log(-np.expm1(-loss))
        steps = 1 + np.rint((np.clip(odds, -ODDS, ODDS) + ODDS) / (2 * ODDS) * STEPS)
    steps[np.isinf(loss)] = 0
    steps[loss <= 0] = INFINITE
    steps[np.isnan(loss)] = UNKNOWN
    coded: Ints = steps.astype(np.int64)
    return coded


def _packed(column: np.ndarray) -> list[object]:
    """Bytes per value and little-endian base64."""
    width = 2 if not len(column) or int(column.max()) < 65_536 else 4
    return [width, base64.b64encode(column.astype(f"<u{width}").tobytes()).decode()]
