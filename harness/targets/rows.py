"""The row of sufficient statistics that a full pair of next-token distributions is reduced to, one per scored token.

Comparisons read rows and never logits, so a stored run can be judged again by a newer version without any model.
P is the reference's next-token distribution, Q the candidate's, both on the same ids. Natural logarithms, nats.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import zstandard
from numpy.typing import NDArray

from harness.errors import StoredRunError

ROW_VERSION: Final = 2

#: Inverse temperatures at which the candidate is re-read; index 4 is 1 (unchanged).
INVERSE_TEMPERATURES: Final = (0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0)
#: Every n-th scored token of a tile carries the temperature grid; the others hold NaN there.
GRID_STRIDE: Final = 8
#: Softcaps c at which the candidate is re-read: the inverse of |c| tanh(z/|c|) where negative (these come first), else it.
SOFTCAPS: Final = (-50.0, -30.0, -20.0, 20.0, 30.0, 50.0)
#: Every n-th scored token of a tile carries the softcaps.
SOFTCAP_STRIDE: Final = 64


FLAG_NON_FINITE: Final = 1  # NaN or +inf among the logits of either side
FLAG_SUPPORT: Final = 2  # P > 0 where Q = 0
FLAG_MASKED: Final = 4  # -inf on both sides at the same id: a logits processor ran

ROW: Final = np.dtype(
    [
        ("position", "<i4"),  # index of the predicting token in its sequence
        ("segment", "<u1"),  # index into SEGMENTS of the predicted token
        ("depth", "<i4"),  # tokens since the predicted token's segment began
        ("label", "<i4"),  # id of the true next token, -1 where there is none
        ("flags", "<u1"),
        ("kl_ref_cand", "<f4"),  # sum P (log P - log Q)
        ("kl_lower", "<f4"),  # what is certain of it; equal to it unless the reference was kept as a sketch
        ("kl_se", "<f4"),  # standard error of it that the sketch's draws leave; 0 where every id was read
        ("kl_cand_ref", "<f4"),
        ("js", "<f4"),
        ("tv", "<f4"),  # half the sum of |P - Q|
        ("nll_ref", "<f4"),  # -log P(label)
        ("nll_cand", "<f4"),
        ("entropy_ref", "<f4"),
        ("entropy_cand", "<f4"),
        ("top1_ref", "<i4"),
        ("top1_cand", "<i4"),
        ("p_top1_ref", "<f4"),
        ("margin_ref", "<f4"),  # P(first) - P(second)
        ("margin_cand", "<f4"),
        ("agree", "<u1"),  # same top-1; logits within one unit in the last place count as equal
        ("rank_ref_top1", "<u1"),  # rank of the reference's top-1 in the candidate, 0 first, 10 = outside the top ten
        ("overlap5", "<u1"),  # ids shared by both top-5 sets
        ("overlap10", "<u1"),
        ("violated_mass", "<f4"),  # P mass on ids that Q rules out
        ("padded_mass", "<f4"),  # the larger of both masses on ids beyond the tokenizer
        ("kl_grid", "<f4", (len(INVERSE_TEMPERATURES),)),  # KL(P || softmax(beta z_Q))
        ("kl_softcap", "<f4", (len(SOFTCAPS),)),  # KL(P || softmax(softcap(z_Q)))
    ]
)

Rows = NDArray[np.void]


def empty_rows(count: int) -> Rows:
    """``count`` rows with every float NaN and every integer 0: a value that nobody wrote must not look measured."""
    rows = np.zeros(count, dtype=ROW)
    for name in ROW.names or ():
        if rows[name].dtype.kind == "f":
            rows[name] = np.nan
    return rows


def pack_rows(rows: Rows) -> bytes:
    """Serialise rows as zstd-compressed little-endian bytes with a one-byte version in front."""
    packed = zstandard.ZstdCompressor(level=3).compress(np.ascontiguousarray(rows).tobytes())
    return bytes([ROW_VERSION]) + packed


def unpack_rows(blob: bytes) -> Rows:
    """Read rows back; raises StoredRunError if they were written by another version or are damaged."""
    if not blob or blob[0] != ROW_VERSION:
        raise StoredRunError(
            f"rows of version {blob[0] if blob else 'none'} cannot be read; this is version {ROW_VERSION}",
            fix="judge this run with the version of fidelity-harness that wrote it, or run it again",
        )
    try:
        raw = zstandard.ZstdDecompressor().decompress(blob[1:], max_output_size=1 << 30)
        return np.frombuffer(raw, dtype=ROW)
    except (zstandard.ZstdError, ValueError) as error:
        raise StoredRunError(f"stored rows are damaged: {error}", fix="run the command again with --fresh") from error
