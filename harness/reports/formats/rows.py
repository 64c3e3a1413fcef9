"""Every scored token as a row: CSV for spreadsheets, Parquet for dataframes. KL in nats, probabilities from 0 to 1."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator

import numpy as np

from harness.errors import MissingExtra
from harness.prompts.sequences import SEGMENTS
from harness.redact import safe_line
from harness.reports.tokens import Tokens, TokenSheet
from harness.targets.rows import ROW

_NUMBERS = tuple(
    name for name in ROW.names or () if ROW[name].shape == () and name not in {"position", "segment", "label", "flags"}
)
_NAMED = ("candidate", "item", "domain", "document", "position", "segment", "label", "flags")
_TEXTS = ("text", "first_ref", "first_cand")
COLUMNS = (*_NAMED, *_NUMBERS, *_TEXTS)


def render_csv(tokens: Tokens) -> bytes:
    """UTF-8, one header line. Texts are JSON strings: they begin with a quote, so no spreadsheet takes one for a formula."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for sheet in tokens.sheets:
        for row in _rows(sheet, tokens):
            words = [_guarded(value) if isinstance(value, str) else value for value in row[: len(_NAMED)]]
            texts = [json.dumps(text, ensure_ascii=True) for text in row[-len(_TEXTS) :]]
            writer.writerow([*words, *row[len(_NAMED) : -len(_TEXTS)], *texts])
    return out.getvalue().encode()


def render_parquet(tokens: Tokens) -> bytes:
    """One row group per candidate, texts as they are; raises MissingExtra without pyarrow."""
    try:
        import pyarrow  # noqa: PLC0415 - an optional dependency
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtra(
            "Parquet needs pyarrow", fix="pip install 'fidelity-harness[parquet]', or take csv"
        ) from error
    kinds = [*(pyarrow.string(),) * 4, pyarrow.int32(), pyarrow.string(), pyarrow.int32(), pyarrow.int32()]
    kinds += [pyarrow.from_numpy_dtype(ROW[name]) for name in _NUMBERS]
    schema = pyarrow.schema(list(zip(COLUMNS, [*kinds, *(pyarrow.string(),) * 3], strict=True)))
    sink = io.BytesIO()
    with parquet.ParquetWriter(sink, schema, compression="zstd") as writer:
        for sheet in tokens.sheets:
            columns = list(zip(*_rows(sheet, tokens), strict=True)) or [()] * len(COLUMNS)
            arrays = [pyarrow.array(list(c), field.type) for c, field in zip(columns, schema, strict=True)]
            writer.write_table(pyarrow.table(arrays, schema=schema))
    return sink.getvalue()


def _rows(sheet: TokenSheet, tokens: Tokens) -> Iterator[tuple[object, ...]]:
    pieces = tokens.pieces or {}
    table = sheet.table

    def text(token: int) -> str:
        return pieces.get(str(token), "") if token >= 0 else ""

    numbers = [table.rows[name].tolist() for name in _NUMBERS]
    whole = zip(*(table.rows[name].tolist() for name in ("position", "segment", "label", "flags")), strict=True)
    firsts = zip(table.rows["top1_ref"].tolist(), table.rows["top1_cand"].tolist(), strict=True)
    for owner, (position, segment, label, flags), (ref, cand), values in zip(
        np.asarray(table.owner).tolist(), whole, firsts, zip(*numbers, strict=True), strict=True
    ):
        own = table.sequences[owner]
        yield (
            sheet.label, own.key, own.domain, own.cluster, position, SEGMENTS[segment], label, flags, *values,
            text(label), text(ref), text(cand),
        )  # fmt: skip


def _guarded(value: str) -> str:
    """A name that begins like a formula gets a quote before it."""
    shown = safe_line(value)
    return f"'{shown}" if shown[:1] in {"=", "+", "-", "@"} else shown
